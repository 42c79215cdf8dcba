"""What errors are about, from an error to results, summary and report; also in results that an older version has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_pages import Page, failed, line

from airflow_provider_kling.api import ERROR_KINDS, task_failure
from airflow_provider_kling.errors import KlingCappedError, KlingStorageError, KlingTimeoutError
from airflow_provider_kling.manifests import ManifestFile
from airflow_provider_kling.object_paths import storage_path
from airflow_provider_kling.results import error_result, intact_lines, join, kind_of, lines_without_rows, write_lines
from airflow_provider_kling.results.summary import describe_kinds, summarize

REFUSED = task_failure("7", "Failure to pass the risk control system: image 2.", images=2)
HEADER = "id,effect_scene,image\n"


def rows_of(tmp_path: Path, text: str, *, strict: bool = False) -> list[Any]:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(text)
    with ManifestFile(manifest, strict=strict) as file:
        return list(file.rows())


def test_the_result_of_an_error_says_what_it_is_about() -> None:
    refused = error_result(REFUSED, row_id="a")
    assert (refused["error_kind"], refused["refused_image"]) == ("moderation", 2)
    kinds = [
        error_result(error, row_id="a")["error_kind"] for error in (KlingTimeoutError("x"), KlingStorageError("x"), KeyError())
    ]
    assert kinds == ["timeout", "storage", "unknown"]
    assert error_result(KlingCappedError("No more."), row_id="a")["error_kind"] == "capped"
    assert set(kinds) <= set(ERROR_KINDS)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("a,squish,", "image"),
        ("a,,a.jpg", "scene"),
        ("a,hug_pro,a.jpg", "request"),  # too few images, or another scene than was meant
        ("a,,", "request"),
        ("a,no_such_scene,a.jpg", "scene"),
        (f"{'a' * 300},squish,a.jpg", "request"),
    ],
)
def test_a_bad_row_says_what_is_wrong(tmp_path: Path, row: str, kind: str) -> None:
    (found,) = join(rows_of(tmp_path, f"{HEADER}{row}\n", strict=True), [])
    assert (found["status"], found["error_kind"], found["refused_image"]) == ("invalid", kind, None)


def test_a_success_has_no_kind_and_nothing_known_is_unknown(tmp_path: Path) -> None:
    outcomes = [{"row_id": "a", "status": "succeed", "videos": [{"url": "u"}], "error_kind": "image", "refused_image": 1}]
    good, lost = join(rows_of(tmp_path, f"{HEADER}a,squish,a.jpg\nb,squish,a.jpg\n"), outcomes)
    assert (good["error_kind"], good["refused_image"], lost["error_kind"]) == (None, None, "unknown")


def test_of_several_outcomes_the_kind_is_that_of_the_best() -> None:
    early = error_result(KlingTimeoutError("x"), row_id="a")
    late = error_result(REFUSED, row_id="a")
    (found,) = lines_without_rows([{**early, **late}])
    assert found["error_kind"] == "moderation"


def test_summary_and_log_count_kinds(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    outcomes = [
        error_result(error, row_id=row) for row, error in zip("abc", (REFUSED, REFUSED, KlingStorageError("x")), strict=True)
    ]
    rows = rows_of(tmp_path, HEADER + "".join(f"{row},squish,a.jpg\n" for row in "abc"))
    summary = write_lines(join(rows, outcomes), tmp_path, title="t")
    assert summary["error_kinds"] == {"moderation": 2, "storage": 1}
    assert "Without a video: 2 moderation, 1 storage." in caplog.text
    assert [kind_of(read) for read in intact_lines(storage_path(tmp_path / "results.jsonl"))] == [
        "moderation",
        "moderation",
        "storage",
    ]


def test_results_of_an_older_version_are_read(tmp_path: Path) -> None:
    old = {"kling_task_id": "7", "external_task_id": None, "videos": None, "units": None, "created_at": None, "updated_at": None}
    lines = [
        {"id": "a", **old, "status": "failed", "message": "Failure to pass the risk control system", "error": "x"},
        {"id": "b", **old, "status": "error", "message": None, "error": "x"},
        {"id": "c", **old, "status": "error", "message": None, "error": "x", "error_kind": "of a newer version"},
    ]
    (tmp_path / "results.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    read = list(intact_lines(storage_path(tmp_path / "results.jsonl")))
    assert [one["id"] for one in read] == ["a", "b", "c"]
    assert [kind_of(one) for one in read] == ["moderation", "unknown", "unknown"]
    assert describe_kinds(summarize(read).kinds) == "2 unknown, 1 moderation"


def test_the_report_shows_the_kind_before_the_error() -> None:
    pair = {"image": None, "images": ["l.jpg", "r.jpg"], "error_kind": "moderation"}
    page = Page(failed("No.", id="a", refused_image=2, **pair), failed("No.", id="b", **pair), line(id="c"), failed("Odd.", id="d"))
    assert [row.get("note", "") for row in page.rows] == ["moderation No.", "moderation No.", "Odd.", ""]
    assert page.groups == ["failed 2 rows moderation No.", "failed 1 row Odd.", "succeeded 1 row"]
    assert "Without a video: 2 moderation, 1 unknown" in page.text
    assert page.all("figure", "class").count("refused") == 1
    assert page.rows[0]["before"].split() == ["l.jpgrefused", "r.jpg"]


def test_errors_of_two_kinds_have_no_common_one() -> None:
    page = Page(failed("No.", id="a", error_kind="image"), failed("No.", id="b", error_kind="request"))
    assert page.groups == ["failed 2 rows No."]
