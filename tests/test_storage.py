"""Files in a folder and in an object store: whole or not at all."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling import storage
from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingDownloadError, KlingInputError, KlingStorageError
from airflow_provider_kling.hooks import KlingHook

VIDEO = b"\0\0\0\x20ftypisom" + bytes(100)


@pytest.fixture(params=["folder", "store"])
def place(request, tmp_path):
    """A place for files: on this machine, or in an object store."""
    if request.param == "folder":
        yield storage.storage_path(str(tmp_path / "new"))
        return
    bucket = uuid.uuid4().hex
    attach("memory", fs=MemoryFileSystem())
    path = ObjectStoragePath(f"memory://{bucket}")
    yield path
    MemoryFileSystem.store.clear()


def break_off(manager):
    with manager as file:
        file.write(b"half")
        raise RuntimeError


def names(path):
    return sorted(child.name for child in path.iterdir()) if path.exists() else []


def test_a_file_appears_when_it_is_whole(place):
    with storage.atomic_write(place / "a") as file:
        file.write(b"half")
        assert "a" not in names(place)
        file.write(b" and half")
    assert (place / "a").read_bytes() == b"half and half"


def test_of_a_failed_write_nothing_stays(place):
    with pytest.raises(RuntimeError):
        break_off(storage.atomic_write(place / "a"))
    assert names(place) == []


def test_an_old_file_stays_until_the_new_one_is_whole(place):
    storage.write_text(place / "a", ["o", "ld\n"])
    with pytest.raises(RuntimeError):
        break_off(storage.atomic_write(place / "a"))
    assert (place / "a").read_bytes() == b"old\n"


@pytest.mark.parametrize("body", [b"", b"<html>no</html>         ", b'{"code": 5000, "message": ""}', b"short"])
def test_what_is_no_video_is_not_kept(place, body):
    with pytest.raises(KlingDownloadError, match="is no video"), storage.writing_video(place / "v.mp4") as file:
        file.write(body)
    assert names(place) == []


def test_an_async_write_is_whole_or_not_at_all(place):
    async def write(name, fail):
        async with storage.awriting_video(place / name) as file:
            file.write(VIDEO)
            if fail:
                raise RuntimeError

    asyncio.run(write("a.mp4", fail=False))
    with pytest.raises(RuntimeError):
        asyncio.run(write("b.mp4", fail=True))
    assert names(place) == ["a.mp4"]


def test_videos_are_saved_into_a_store(kling, place):
    with KlingHook() as hook:
        task = hook.create_task(EffectRequest("squish", ["https://example.com/a.jpg"]))
        task = hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.05)
        (path,) = hook.save_videos(task, str(place))
        assert hook.save_videos(task, str(place)) == [path]
    assert storage.storage_path(path).read_bytes()[4:8] == b"ftyp"
    assert len(kling.requests("video")) == 1


def test_lines_are_read_from_where_they_were_written(place):
    storage.write_text(place / "a", ["ä\n", "b\n"])
    assert list(storage.read_lines(place / "a")) == ["ä\n".encode(), b"b\n"]
    with pytest.raises(KlingInputError, match="does not exist"):
        list(storage.read_lines(place / "b"))


def test_a_full_disk_is_a_storage_error():
    with pytest.raises(KlingStorageError, match="could not be written"), storage.atomic_write(storage.storage_path("/dev/full/x")):
        pass


def test_files_have_the_rights_that_the_umask_leaves(tmp_path):
    import os
    import stat

    before = os.umask(0o027)
    try:
        storage.write_text(storage.storage_path(str(tmp_path / "a")), [])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_relative_paths_and_home_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storage.location_of(storage.storage_path("out/x")) == str(tmp_path / "out" / "x")
    assert storage.location_of(storage.storage_path("~/x")) == str(tmp_path / "home" / "x")
    assert storage.location_of(storage.storage_path(f"file://{tmp_path}/x")) == str(tmp_path / "x")
