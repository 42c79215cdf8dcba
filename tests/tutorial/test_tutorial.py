"""The tutorial, step by step: what its pages show is run and compared. `make tutorial` runs it."""

from __future__ import annotations

import pytest
from walk import ROOT, Walk

PAGES = sorted((ROOT / "docs" / "start").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_step_works_as_it_stands(walk: Walk, page):
    walk.read(page)
