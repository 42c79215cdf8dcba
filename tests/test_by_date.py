"""Manifests by date, and the results of many runs as one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.io import attach
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling.by_date import collect_results, date_of, join_shards, manifest_of
from airflow_provider_kling.errors import KlingInputError, KlingManifestError, KlingStorageError
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


def test_a_folder_that_cannot_be_read_is_no_date_without_a_manifest(tmp_path):
    attach("memory", fs=MemoryFileSystem())
    file = put(tmp_path / "m.csv")
    for call in (lambda place: manifest_of(place, "2026-11-22"), collect_results):
        with pytest.raises(KlingStorageError, match="nowhere does not exist; wanted is the folder with the"):
            call(str(tmp_path / "nowhere"))
        with pytest.raises(KlingStorageError, match=r"m\.csv is no folder"):
            call(file)
        with pytest.raises(KlingStorageError, match="memory://bucket/nowhere does not exist"):
            call("memory://bucket/nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_object_store_that_refuses_is_no_date_without_a_manifest(monkeypatch):
    attach("memory", fs=MemoryFileSystem())

    def refuse(self, path, **_):
        raise PermissionError("Forbidden")

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    with pytest.raises(KlingStorageError, match="memory://bucket/m cannot be read: Forbidden; wanted is"):
        manifest_of("memory://bucket/m", "2026-11-22")


def test_an_empty_file_is_a_manifest(tmp_path):
    assert manifest_of(str(tmp_path), "2026-11-22") is None
    path = put(tmp_path / "2026-11-22.csv", "")
    assert manifest_of(str(tmp_path), "2026-11-22") == path


@pytest.mark.parametrize(
    ("zone", "first", "last", "count"),
    [
        ("UTC", "2026-11-20", "2026-11-23", 4),
        ("Asia/Shanghai", "2026-11-20", "2026-11-23", 4),
        ("America/New_York", "2026-03-07", "2026-03-10", 4),
        ("America/New_York", "2026-10-30", "2026-11-03", 5),
        ("America/Santiago", "2026-09-04", "2026-09-08", 5),  # its clocks change at midnight: the day begins at 01:00
        ("Pacific/Auckland", "2026-04-03", "2026-04-07", 5),
        ("Pacific/Kiritimati", "2026-01-01", "2026-01-02", 2),
    ],
)
@pytest.mark.parametrize("timetable", [CronTriggerTimetable, CronDataIntervalTimetable])
def test_a_backfill_makes_the_days_that_it_names(timetable, zone, first, last, count):
    dag = DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz=zone))
    schedule = timetable("@daily", timezone=dag.timezone)
    named = [pendulum.parse(day, tz=zone) for day in (first, last)]  # as `airflow backfill create` reads them
    days: list[str | None] = []
    info = None
    while info := schedule.next_dagrun_info(
        last_automated_data_interval=info and info.data_interval,
        restriction=TimeRestriction(earliest=named[0], latest=named[1], catchup=True),
    ):
        days.append(date_of({"dag": dag, "dag_run": SimpleNamespace(logical_date=info.logical_date)}))
    assert days == [named[0].add(days=number).to_date_string() for number in range(count)]
    assert days[-1] == last


def test_a_run_without_a_logical_date_has_no_date():
    assert date_of({"dag": DAG("d", schedule=None), "dag_run": SimpleNamespace(logical_date=None)}) is None


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


def shards(folder: Path, count: int, *, present: tuple[int, ...]) -> list[str]:
    """The folders of the shards of a manifest of nine rows; only some of them have results."""
    for number in present:
        results(folder / str(number), len(range(number, 10, count)), first=number, step=count)
    return [str(folder / str(number)) for number in range(1, count + 1)]


def manifest(folder: Path) -> str:
    return put(
        folder / "m.csv", "id,effect_scene,image\n" + "".join(f"r{n},squish,https://example.com/a.jpg\n" for n in range(1, 10))
    )


def test_a_missing_shard_is_named_or_its_rows_are_errors(tmp_path):
    folders = shards(tmp_path, 3, present=(1, 3))
    with pytest.raises(KlingInputError, match=r"no results of shard 2/3 \(.*/2\)"):
        join_shards(folders, str(tmp_path), title="t")
    assert join_shards(folders, str(tmp_path), title="t", manifest=manifest(tmp_path))["rows"] == 9
    assert [line["id"] for line in lines(tmp_path)] == [f"r{number}" for number in range(1, 10)]
    missing = [line for line in lines(tmp_path) if "Shard 2/3 has left no results" in line["error"]]
    assert [(line["id"], line["status"]) for line in missing] == [("r2", "error"), ("r5", "error"), ("r8", "error")]


def test_a_shard_without_rows_is_not_missing(tmp_path):
    folders = shards(tmp_path, 2, present=(1,))
    put(tmp_path / "2" / "results.jsonl", "")
    assert join_shards(folders, str(tmp_path), title="t")["rows"] == 5


def test_shards_are_joined_by_row_id_though_the_manifest_has_changed(tmp_path):
    folders = shards(tmp_path, 3, present=(1, 2, 3))
    path = put(
        tmp_path / "m.csv", "id,effect_scene,image\nnew,squish,https://example.com/n.jpg\nr9,squish,https://example.com/a.jpg\n"
    )
    join_shards(folders, str(tmp_path), title="t", manifest=path)
    assert [line["id"] for line in lines(tmp_path)][:2] == ["new", "r9"]
    assert sorted(line["id"] for line in lines(tmp_path)) == ["new", *(f"r{number}" for number in range(1, 10))]


DAMAGED = ["{", "[1]", "null", '{"id": 7}', "[" * 100_000, '{"status": "succeed"}']


@pytest.mark.parametrize("text", DAMAGED, ids=[text[:12] for text in DAMAGED])
def test_a_line_that_is_no_row_is_reported_and_the_others_are_joined(tmp_path, caplog, text):
    results(tmp_path / "2026-11-20", 2)
    with (tmp_path / "2026-11-20" / "results.jsonl").open("a") as file:
        file.write(f"{text}\n")
    assert collect_results(str(tmp_path))["rows"] == 2
    assert "2026-11-20/results.jsonl, line 3 is damaged" in caplog.text
    assert join_shards([str(tmp_path / "2026-11-20")], str(tmp_path / "all"), title="t")["rows"] == 2


@pytest.mark.parametrize("wrong", [{"units": "many"}, {"videos": "x"}, {"videos": [1]}, {"status": "done"}, {"error": 5}])
def test_a_damaged_line_with_an_id_is_an_error_of_its_row(tmp_path, caplog, wrong):
    results(tmp_path / "2026-11-20", 2)
    first, second = lines(tmp_path / "2026-11-20")
    put(tmp_path / "2026-11-20" / "results.jsonl", f"{json.dumps({**first, **wrong})}\n{json.dumps(second)}\n")
    assert collect_results(str(tmp_path))["rows"] == 2
    line = lines(tmp_path)[0]
    assert (line["id"], line["status"], line["videos"], line["units"]) == ("r1", "error", None, None)
    assert f"Line 1 of {tmp_path}/2026-11-20/results.jsonl is damaged: {next(iter(wrong))} is not what" in line["error"]
    assert "line 1 is damaged" in caplog.text
