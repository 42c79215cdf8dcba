"""Videos under names that another task's video may have: never taken, never overwritten, found again after a crash."""

from __future__ import annotations

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Lock

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from hostile import box, mp4

from airflow_provider_kling import saved_videos, storage
from airflow_provider_kling.errors import KlingStorageError
from airflow_provider_kling.naming import SaveAs
from airflow_provider_kling.object_paths import storage_path

A, B = "831922345719271433", "831922345719271434"
VIDEO = {A: mp4(), B: mp4() + box(b"free", b"of b")}


class Store(MemoryFileSystem):
    """A store that can be asked to write an object only if there is none, as S3, Google and Azure can."""

    cachable = False
    lock = Lock()

    def put_file(self, lpath, rpath, callback=None, mode="overwrite", **kwargs):
        with self.lock:
            if mode == "create" and self.exists(rpath):
                raise FileExistsError(rpath)
            super().put_file(lpath, rpath, **kwargs)


@pytest.fixture(params=["disk", "disk without links", "store", "plain store"])
def folder(request, tmp_path, monkeypatch):
    if request.param == "disk without links":

        def refuse(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("os.link", refuse)
    if "store" not in request.param:
        yield str(tmp_path)
        return
    name = uuid.uuid4().hex  # of its own: Airflow keeps the first file system of a name
    attach("memory", conn_id=name, fs=(MemoryFileSystem if request.param == "plain store" else Store)(skip_instance_cache=True))
    yield f"memory://{name}@{name}"
    MemoryFileSystem.store.clear()


def video(task, template="{row_id}.mp4", row_id="cat"):
    return SaveAs(file_name=template, fields={"row_id": row_id}).video(task)


def save(folder, task, template="{row_id}.mp4", row_id="cat"):
    """The place of a task's video, saved unless it is there, and whether it was there."""
    place = saved_videos.place_of(folder, video(task, template, row_id))
    if place.saved:
        return place, True
    with saved_videos.writing_video(place) as file:
        file.write(VIDEO[task])
    return place, False


def content(place):
    data = place.path.read_bytes()
    return next(task for task in (B, A) if data.startswith(VIDEO[task]))


@pytest.mark.parametrize(
    "template", ["{row_id}.mp4", "{row_id}/video.mp4", "{kling_task_id}-{row_id}.mp4", "{row_id}-{kling_task_id}.mp4"]
)
def test_two_tasks_with_one_name_keep_their_videos_whoever_comes_again(folder, template):
    first, _ = save(folder, A, template)
    second, _ = save(folder, B, template)
    assert first.location != second.location
    for _ in range(2):
        for place, task in ((second, B), (first, A)):
            again, was_there = save(folder, task, template)
            assert was_there
            assert again.location == place.location
            assert content(again) == task
    assert saved_videos.is_saved(folder, video(A, template), first.location)
    assert not saved_videos.is_saved(folder, video(A, template), second.location)


def test_the_one_who_comes_second_gets_the_id_of_its_task_and_the_log_says_so(folder):
    save(folder, A)
    second, _ = save(folder, B)
    assert second.path.name == f"cat-{B}.mp4"
    if second.avoided:  # a plain store gives such names to all
        assert "is not this task's video" in second.note


def test_two_writers_at_once_lose_nothing(folder):
    together = Barrier(2)

    def run(task):
        place = saved_videos.place_of(folder, video(task))
        with saved_videos.writing_video(place) as file:
            file.write(VIDEO[task])
            together.wait(10)
        return place

    with ThreadPoolExecutor(2) as pool:
        places = dict(zip((A, B), pool.map(run, (A, B)), strict=True))
    for task, place in places.items():
        assert content(place) == task
        assert save(folder, task)[0].location == place.location


def test_two_writers_of_one_task_have_one_video(folder):
    first, second = (saved_videos.place_of(folder, video(A)) for _ in range(2))
    for place in (first, second):
        with saved_videos.writing_video(place) as file:
            file.write(VIDEO[A])
    assert first.location == second.location
    assert len(list(storage_path(folder).iterdir())) == 1


@pytest.mark.parametrize("body", [b"notes of mine", mp4(), mp4()[:-1]], ids=["no video", "a video of nobody", "half a video"])
def test_a_file_of_the_users_is_not_overwritten(folder, body):
    with storage.atomic_write(storage_path(folder) / "cat.mp4") as file:
        file.write(body)
    place, _ = save(folder, A)
    assert place.path.name == f"cat-{A}.mp4"
    assert (storage_path(folder) / "cat.mp4").read_bytes() == body
    assert save(folder, A)[1]


def test_half_a_video_under_a_name_of_its_task_alone_is_replaced(folder):
    for template, name in (("{row_id}-{kling_task_id}.mp4", f"cat-{A}.mp4"), ("{kling_task_id}.mp4", f"{A}.mp4")):
        with storage.atomic_write(storage_path(folder) / name) as file:
            file.write(mp4()[:-1])
        place, was_there = save(folder, A, template)
        assert not was_there
        assert place.path.name == name
        assert (storage_path(folder) / name).read_bytes() == VIDEO[A]


@pytest.mark.parametrize("template", ["{row_id}.mp4", "{row_id}-{kling_task_id}.mp4", "{row_id}/{row_id}.mp4"])
def test_what_an_earlier_version_saved_is_taken(folder, template):
    with storage.atomic_write(storage_path(folder) / f"{A}.mp4") as file:
        file.write(VIDEO[A])
    place, was_there = save(folder, A, template)
    assert was_there
    assert place.path.name == f"{A}.mp4"


def test_a_file_says_what_it_is_only_where_its_name_does_not(folder):
    assert save(folder, A, "{row_id}-{kling_task_id}.mp4")[0].path.read_bytes() == VIDEO[A]
    marked = save(folder, B)[0].path.read_bytes()
    assert marked.startswith(VIDEO[B])
    assert marked[len(VIDEO[B]) + 4 :][:4] == b"uuid"
    assert B.encode() in marked


def test_where_both_names_are_taken_nothing_is_overwritten(tmp_path):
    for name in ("cat.mp4", f"cat-{A}.mp4"):
        (tmp_path / name).mkdir()
    with pytest.raises(KlingStorageError, match="never overwritten"):
        save(str(tmp_path), A)


CRASH = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from test_saved_videos import A, B, save
for task in (A, B):
    child = os.fork()
    if not child:
        save(sys.argv[1], task)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


@pytest.mark.integration
def test_killed_between_the_video_and_its_result_each_task_finds_its_own(tmp_path):
    here = [path for path in sys.path if path.startswith(str(Path(__file__).parent))]
    subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), *here], check=True)
    for task in (B, A):
        place, was_there = save(str(tmp_path), task)
        assert was_there
        assert content(place) == task
    assert len(list(tmp_path.iterdir())) == 2
