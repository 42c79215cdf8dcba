"""Files in a folder and in an object store: whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import subprocess
import sys
import time
import uuid

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from hostile import box, mp4
from places import ROOT

from airflow_provider_kling import saved_videos, storage
from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingDownloadError, KlingInputError, KlingStorageError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.naming import VideoName
from airflow_provider_kling.object_paths import location_of, storage_path

VIDEO = mp4()
CLIP = (ROOT / "airflow_provider_kling/emulator/videos/clip.mp4").read_bytes()


@pytest.fixture(params=["folder", "store"])
def place(request, tmp_path):
    """A place for files: on this machine, or in an object store."""
    if request.param == "folder":
        yield storage_path(str(tmp_path / "new"))
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


def writing(name, folder):
    return saved_videos.writing_video(saved_videos.place_of(str(folder), VideoName(name)))


def is_saved_video(folder):
    return saved_videos.content_of(folder / "v.mp4", VideoName("v.mp4"), proves=True) == saved_videos.OWN


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


NO_VIDEOS = {
    "empty": b"",
    "page": b"<html>no</html>         ",
    "page with a mark": b"\xef\xbb\xbf<html>no</html>",
    "error": b'{"code": 5000, "message": ""}',
    "short": b"short",
    "half": VIDEO[: len(VIDEO) // 2],
    "one byte less": VIDEO[:-1],
    "one byte more": VIDEO + b"\0",
    "no index": box(b"ftyp", b"mp42") + box(b"mdat", bytes(99)),
    "begins late": box(b"free") + VIDEO,
    "open end": box(b"ftyp", b"mp42") + box(b"moov") + b"\0\0\0\0mdat" + bytes(99),
    "size too small": box(b"ftyp", b"mp42") + box(b"moov") + b"\0\0\0\4mdat",
    "large size cut off": box(b"ftyp", b"mp42") + box(b"moov") + b"\0\0\0\1mdat\0\0",
}


@pytest.mark.parametrize("body", NO_VIDEOS.values(), ids=NO_VIDEOS)
def test_what_is_no_video_is_not_kept(place, body):
    with pytest.raises(KlingDownloadError, match="is no video"), writing("v.mp4", place) as file:
        file.write(body)
    assert names(place) == []


@pytest.mark.parametrize("body", NO_VIDEOS.values(), ids=NO_VIDEOS)
def test_a_file_that_is_no_video_is_no_saved_video(place, body):
    with storage.atomic_write(place / "v.mp4") as file:
        file.write(body)
    assert not is_saved_video(place)


@pytest.mark.parametrize("body", [VIDEO, CLIP, VIDEO + box(b"free"), VIDEO + b"\0\0\0\1skip\0\0\0\0\0\0\0\x12ab"])
def test_a_whole_video_is_a_saved_video(place, body):
    assert not is_saved_video(place)
    with writing("v.mp4", place) as file:
        file.write(body)
    assert is_saved_video(place)
    assert (place / "v.mp4").read_bytes() == body


def test_a_folder_is_no_saved_video(place):
    storage.write_text(place / "v.mp4" / "inside", ["x"])
    assert not is_saved_video(place)
    assert not storage.exists(place / "v.mp4")


def test_an_async_write_is_whole_or_not_at_all(place):
    async def write(name, fail):
        async with saved_videos.awriting_video(saved_videos.place_of(str(place), VideoName(name))) as file:
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
    assert storage_path(path).read_bytes()[4:8] == b"ftyp"
    assert len(kling.requests("video")) == 1


def test_lines_are_read_from_where_they_were_written(place):
    storage.write_text(place / "a", ["ä\n", "b\n"])
    assert list(storage.read_lines(place / "a")) == ["ä\n".encode(), b"b\n"]
    with pytest.raises(KlingInputError, match="does not exist"):
        list(storage.read_lines(place / "b"))


def test_a_full_disk_is_a_storage_error():
    with pytest.raises(KlingStorageError, match="could not be written"), storage.atomic_write(storage_path("/dev/full/x")):
        pass


@pytest.mark.parametrize(
    ("function", "code"),
    [("chmod", "EPERM"), ("fchmod", "EPERM"), ("utime", "EPERM"), ("fsync", "EINVAL"), ("fsync", "ENOSYS"), ("fsync", "ENOTSUP")],
)
def test_a_file_is_written_where_the_file_system_has_no_chmod_or_fsync(tmp_path, monkeypatch, function, code):
    """As Azure Files and FUSE mounts, which this machine does not have."""

    def refuse(*_, **__):
        raise OSError(getattr(errno, code), "not here")

    monkeypatch.setattr(os, function, refuse)
    with writing("a.mp4", tmp_path / "new") as file:
        file.write(VIDEO)
    assert [path.read_bytes() for path in (tmp_path / "new").iterdir()] == [VIDEO]


def test_a_fault_of_the_disk_is_no_missing_fsync(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KlingStorageError, match="Input/output error"):
        storage.write_text(storage_path(str(tmp_path)) / "a", ["text"])
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        storage.write_text(storage_path(str(tmp_path / "a")), [])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.integration
def test_no_write_changes_the_umask_for_other_threads(tmp_path):
    """A process of its own with many writers, and one thread that makes folders whose rights show the umask at each moment."""
    code = """if True:
        import os, sys, threading
        from airflow_provider_kling import saved_videos, storage
        from airflow_provider_kling.object_paths import storage_path
        os.umask(0o077)
        def write(name):
            for _ in range(200):
                storage.write_text(storage_path(f"{sys.argv[1]}/{name}"), ["x"])
        threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
        [thread.start() for thread in threads]
        seen, number = set(), 0
        while any(thread.is_alive() for thread in threads):
            os.mkdir(f"{sys.argv[1]}/d{number}")
            seen.add(oct(os.stat(f"{sys.argv[1]}/d{number}").st_mode & 0o777))
            os.rmdir(f"{sys.argv[1]}/d{number}")
            number += 1
        print(*seen)
    """
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "0o700"


@pytest.mark.integration
def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path):
    """A process that is killed while it writes, twice: the second leftover is not old yet."""
    code = """if True:
        import os, signal, sys
        from airflow_provider_kling import storage
        from airflow_provider_kling.object_paths import storage_path
        for _ in range(2):
            if process := os.fork():
                os.waitpid(process, 0)
                continue
            with storage.atomic_write(storage_path(sys.argv[1])) as file:
                file.write(b"half")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
    """
    target = tmp_path / "v.mp4"
    subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, check=False)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) == 2
    assert all(path.name.startswith(".v.mp4.") and path.suffix == ".part" for path in parts)
    long_ago = time.time() - storage.PART_AGE - 1
    os.utime(parts[0], (long_ago, long_ago))
    (tmp_path / ".of.another.program.part").touch()
    os.utime(tmp_path / ".of.another.program.part", (long_ago, long_ago))
    storage.write_text(storage_path(str(target)), ["whole"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".of.another.program.part", parts[1].name, "v.mp4"])


def test_relative_paths_and_home_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert location_of(storage_path("out/x")) == str(tmp_path / "out" / "x")
    assert location_of(storage_path("~/x")) == str(tmp_path / "home" / "x")
    assert location_of(storage_path(f"file://{tmp_path}/x")) == str(tmp_path / "x")
