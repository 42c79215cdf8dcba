"""What a page shows is compared with what is printed."""

from __future__ import annotations

import pytest
from page_blocks import is_what_was_printed

PRINTED = "  Airflow says  a lot\n\nout:\nreport.html\nhug-17.mp4\n"


@pytest.mark.parametrize(
    "shown",
    [
        "Airflow says a lot\n\nout:\nreport.html\nhug-17.mp4\n",
        "…\nout:\nreport.html\nhug-….mp4\n",
        "… a lot\n…\nhug-….mp4\n…\n",
        "…\n",
    ],
)
def test_the_same(shown):
    assert is_what_was_printed(shown, PRINTED)


@pytest.mark.parametrize(
    "shown",
    [
        "out:\nreport.html\nhug-….mp4\n",  # more is printed before
        "…\nout:\nhug-….mp4\n",  # … between
        "…\nout:\nreport.html\n",  # … and after
        "…\nout:\nreport.html\nhug-….mp4\nkiss-….mp4\n",  # less is printed
        "…\nreport.html\nout:\nhug-….mp4\n",  # in another order
        "…\nout:\nreport\nhug-….mp4\n",  # half a line
    ],
)
def test_something_else(shown):
    assert not is_what_was_printed(shown, PRINTED)
