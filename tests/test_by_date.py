"""Manifests by date, and the results of many runs as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_kling.by_date import collect_results, join_shards, manifest_of
from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.mapping import write_results


def put(path: Path, text: str = "effect_scene,image\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def results(folder: Path, rows: int, *, first: int = 1, step: int = 1) -> None:
    """Results of a manifest with so many rows, numbered from `first` in steps of `step`. No row has an outcome."""
    lines = [f"r{first + number * step},squish,https://example.com/a.jpg" for number in range(rows)]
    write_results(put(folder / "m.csv", "\n".join(["id,effect_scene,image", *lines])), str(folder), [])


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["2026-11-22.csv", "2026-11-22.jsonl", "2026-11-22/manifest.json", "2026-11-22/manifest.ndjson"])
def test_the_manifest_of_a_date(tmp_path, name):
    put(tmp_path / "2026-11-21.csv")
    path = put(tmp_path / name)
    assert manifest_of(str(tmp_path), "2026-11-22") == path
    assert manifest_of(str(tmp_path), "2026-11-23") is None
    assert manifest_of(str(tmp_path / "nowhere"), "2026-11-22") is None


@pytest.mark.parametrize("date", ["", "2026-11-31", "22.11.2026", "../secrets", "2026-11-22/..", None])
def test_what_is_no_date_is_refused(tmp_path, date):
    with pytest.raises(KlingInputError, match="wanted is one like '2026-11-22'"):
        manifest_of(str(tmp_path), date)


def test_several_manifests_for_a_date_are_named(tmp_path):
    paths = [put(tmp_path / "2026-11-22.csv"), put(tmp_path / "2026-11-22" / "manifest.csv")]
    with pytest.raises(KlingManifestError) as error:
        manifest_of(str(tmp_path), "2026-11-22")
    assert all(path in str(error.value) for path in paths)


def test_the_results_of_all_runs(tmp_path):
    results(tmp_path / "2026-11-21", 2)
    results(tmp_path / "2026-11-20", 1)
    put(tmp_path / "2026-11-22" / "manifest.csv")
    summary = collect_results(str(tmp_path))
    assert [(line["run"], line["id"]) for line in lines(tmp_path)] == [
        ("2026-11-20", "r1"),
        ("2026-11-21", "r1"),
        ("2026-11-21", "r2"),
    ]
    assert summary["rows"] == 3
    assert summary["results"] == str(tmp_path / "results.jsonl")
    assert "r2" in (tmp_path / "report.html").read_text()
    assert collect_results(str(tmp_path)) == summary  # what it has written is no run


def test_shards_come_in_the_order_of_their_manifest(tmp_path):
    for number, rows in ((1, 3), (2, 2), (3, 2)):
        results(tmp_path / str(number), rows, first=number, step=3)
    folders = [str(tmp_path / name) for name in ("1", "2", "3")]
    assert join_shards(folders, str(tmp_path), title="t")["rows"] == 7
    assert [line["id"] for line in lines(tmp_path)] == [f"r{number}" for number in range(1, 8)]
    assert join_shards([*folders, str(tmp_path / "missing")], str(tmp_path), title="t")["rows"] == 7
