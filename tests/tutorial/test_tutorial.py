"""The tutorial and the guides whose commands can be pasted, step by step. `make tutorial` runs this."""

from __future__ import annotations

import pytest
from walk import ROOT, Walk

START = sorted((ROOT / "docs" / "start").glob("[0-9]*.md"))
GUIDES = [ROOT / "docs" / "guides" / f"{name}.md" for name in ("events", "alerts", "testing-dags")]


@pytest.mark.parametrize("page", [*START, *GUIDES], ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_every_step_works_as_it_stands(walk: Walk, page):
    walk.read(page)


def test_nothing_is_left(walk: Walk):
    walk.clean_up(START[-1])
