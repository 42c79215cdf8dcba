"""Which errors are one reason."""

from __future__ import annotations

from typing import Any

import pytest
from report_pages import failed

from airflow_provider_kling.results.report_reasons import reason_of

SIZE = "wanted are at least 300 on each side."
SAME: dict[str, list[dict[str, Any]]] = {
    "Kling task … failed: risk control.": [
        failed("Kling task 179566489660255581 failed: risk control.", kling_task_id="179566489660255581"),
        failed("Kling task 7 failed: risk control.", kling_task_id="7"),
        failed("Kling task order-12 failed: risk control.", kling_task_id="order-12"),
    ],
    f"has … × … pixels; {SIZE}": [
        failed(f"line 17, id 'b': small.png: has 200 × 240 pixels; {SIZE}", id="b", image="small.png"),
        failed(f"/data/in/photos/tiny one.png: has 100 × 40 pixels; {SIZE}", id="7", image="photos/tiny one.png"),
        failed(f"line 1,017, row 1016: https://e.com/a.png: has 1 × 1 pixels; {SIZE}", id="1016", image="https://e.com/a.png"),
    ],
    "Scene 'hug_pro' takes two images; found one image.": [
        failed("line 5, id 'alone': Scene 'hug_pro' takes two images; found one image.", id="alone"),
        failed("line 6, id 'it''s': Scene 'hug_pro' takes two images; found one image.", id="it''s"),
        failed("Line 7, row 6: Scene 'hug_pro' takes two images; found one image.", id="6"),
    ],
    "… of … bytes is too large at …": [
        failed("a1 of 12,345,678 bytes is too large at 2026-11-26T06:00:00Z", id="a1"),
        failed("a2 of 99999999 bytes is too large at 2026-11-27 06:00 UTC", id="a2"),
    ],
}


@pytest.mark.parametrize("reason", SAME)
def test_errors_that_differ_in_what_belongs_to_their_row_are_one(reason: str) -> None:
    assert {reason_of(row) for row in SAME[reason]} == {reason}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Kling refused (code 1201).", "Kling refused (code 1202)."),
        ("Scene 'hug_pro' takes two images.", "Scene 'kiss_pro' takes two images."),
        ("https://e.com/a.png: found 404", "https://e.com/a.png: found 403"),
        ("Gone.", "Lost."),
    ],
)
def test_errors_that_differ_in_what_they_say_are_two(one: str, other: str) -> None:
    assert reason_of(failed(one)) != reason_of(failed(other))


def test_a_short_id_does_not_disturb_the_words() -> None:
    assert reason_of(failed("Row 1 has a code 1201 at most", id="a")) == "Row … has a code 1201 at most"
    assert reason_of(failed("code 1201", id="1201")) == "code 1201"


def test_a_reason_has_an_end() -> None:
    assert len(reason_of(failed("x " * 5000))) < 500
    assert reason_of(failed("")) == ""
