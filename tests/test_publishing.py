"""Publishing: each video once, whatever is there already, from and to a folder and an object store."""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from hostile import box, mp4

from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.object_paths import location_of, storage_path
from airflow_provider_kling.publishing import check_folder, lines_of_events, publish, publishing, read_lines


def film(number: int) -> bytes:
    """A whole MP4, another one for each number, of one size."""
    return mp4() + box(b"free", f"{number:08}".encode())


@pytest.fixture(params=["folder", "store"])
def place(request, tmp_path):
    """A place for videos, and one to publish to."""
    if request.param == "folder":
        yield storage_path(str(tmp_path / "made")), storage_path(str(tmp_path / "shop"))
        return
    attach("memory", fs=MemoryFileSystem())
    yield tuple(ObjectStoragePath(f"memory://{uuid.uuid4().hex}") for _ in range(2))
    MemoryFileSystem.store.clear()


def made(folder, number: int, *, name: str = "", task: str = "") -> dict:
    """The line of a row whose video lies in this folder."""
    path = folder / (name or f"{number}.mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(film(number))
    videos = [{"url": "https://example.com/v.mp4", "path": location_of(path)}]
    return {"id": f"r{number}", "status": "succeed", "kling_task_id": task or f"k{number}", "videos": videos}


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_videos_are_copied_under_their_names_and_only_once(place):
    source, shop = place
    lines = [made(source, number) for number in range(40)]
    first = publish(lines, location_of(shop))
    assert first == {
        "published": 40,
        "already_there": 0,
        "not_published": 0,
        "not_saved": 0,
        "without_video": 0,
        "folder": location_of(shop),
    }
    assert files(shop) == {f"{number}.mp4": film(number) for number in range(40)}
    again = publish(lines, location_of(shop))
    assert (again["published"], again["already_there"]) == (0, 40)
    assert len(files(shop)) == 40


def test_another_file_of_that_name_stays_and_the_video_gets_its_tasks_id(place):
    source, shop = place
    shop.mkdir(parents=True, exist_ok=True)
    (shop / "1.mp4").write_bytes(film(7))  # of the same size
    (shop / "2.mp4").write_bytes(b"")
    lines = [made(source, 1), made(source, 2)]
    for published in (2, 0):
        assert publish(lines, location_of(shop))["published"] == published
        assert files(shop) == {"1.mp4": film(7), "1-k1.mp4": film(1), "2.mp4": b"", "2-k2.mp4": film(2)}

    (shop / "1-k1.mp4").write_bytes(b"other")
    with pytest.raises(KlingStorageError, match=r"1 videos could not be published .*1-k1\.mp4 and its like are other files"):
        publish(lines, location_of(shop))
    assert files(shop)["1-k1.mp4"] == b"other"


def test_two_videos_of_one_name_are_both_published(place):
    source, shop = place
    lines = [made(source / str(number), number, name="video.mp4") for number in range(8)]
    assert publish(lines, location_of(shop))["published"] == 8
    assert sorted(files(shop).values()) == sorted(map(film, range(8)))
    assert "video.mp4" in files(shop)
    assert publish(lines, location_of(shop))["already_there"] == 8


def test_what_cannot_be_published_keeps_back_no_other(place):
    source, shop = place
    lines = [made(source, number) for number in range(4)]
    (source / "1.mp4").unlink()
    (source / "2.mp4").write_bytes(b"root:x:0:0:root")  # results are data: they may name any file, but only videos are copied
    lines += [{"id": "f", "status": "failed", "videos": None}, {**lines[0], "videos": [{"url": "https://x/v.mp4", "path": None}]}]
    with pytest.raises(
        KlingStorageError, match=r"2 videos could not be published .*1\.mp4 does not exist any more, or is no whole"
    ):
        publish(lines, location_of(shop))
    assert files(shop) == {"0.mp4": film(0), "3.mp4": film(3)}
    states = [one.states for one in publishing(lines, location_of(shop))]
    assert states == [("already_there",), ("not_published",), ("not_published",), ("already_there",), (), ("not_saved",)]


def test_videos_that_lie_there_already_are_left_alone(place):
    source, _ = place
    assert publish([made(source, 1)], location_of(source))["already_there"] == 1
    assert files(source) == {"1.mp4": film(1)}


def test_lines_are_read_from_a_file_or_its_folder(place):
    source, _ = place
    line = made(source, 1)
    (source / "results.jsonl").write_text(f"{json.dumps(line)}\nno JSON\n")
    assert list(read_lines(location_of(source))) == list(read_lines(location_of(source / "results.jsonl"))) == [line]
    with pytest.raises(KlingInputError, match="does not exist"):
        list(read_lines(location_of(source / "nowhere")))


def event(number: int, extra: dict | None) -> SimpleNamespace:
    """An asset event as `triggering_asset_events` has it."""
    return SimpleNamespace(id=number, extra=extra, source_dag_id="d", source_run_id="run")


def test_events_name_whole_results_or_one_video_each(tmp_path, caplog):
    source = storage_path(str(tmp_path))
    lines = [made(source, number) for number in range(2)]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    single = {"path": "/v/9.mp4", "paths": ["/v/9.mp4", "/v/9_2.mp4", 3], "kling_task_id": "k9", "row_id": "r9"}
    of_video = event(3, {**single, "paths": None})
    events = {
        "kling_videos": [
            event(1, {"results": str(tmp_path / "results.jsonl")}),
            event(2, single),
            event(4, {}),
            event(5, None),
        ],
        "file:///v/9.mp4": [of_video],
        "each": [of_video],
    }
    found = list(lines_of_events(events))
    assert found[:2] == lines
    (ninth,) = found[2:]
    assert (ninth["id"], ninth["status"], ninth["kling_task_id"]) == ("r9", "succeed", "k9")
    assert [video["path"] for video in ninth["videos"]] == ["/v/9.mp4", "/v/9_2.mp4"]
    assert caplog.text.count("names no results and no saved video") == 2


def test_a_folder_is_checked_before_anything_is_made(tmp_path):
    assert check_folder(tmp_path / "new", named="the Variable x") == str(tmp_path / "new")
    for nothing in (None, "", " "):
        with pytest.raises(AirflowFailException, match=r"There is no folder to publish to: set the Variable x\."):
            check_folder(nothing, named="the Variable x")
    (tmp_path / "file").write_text("")
    with pytest.raises(KlingStorageError, match="folder: nothing can be written to"):
        check_folder(tmp_path / "file", named="the Variable x")
