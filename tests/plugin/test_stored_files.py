"""Files from an object store, opened for a browser."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling import storage
from airflow_provider_kling.plugin import files, stores


class Store(MemoryFileSystem):
    """An object store, which refuses some of its objects."""

    def open(self, path, mode="rb", **options):
        if "forbidden" in path and "r" in mode:
            raise PermissionError("AccessDenied for AKIASECRET")
        return super().open(path, mode, **options)


@pytest.fixture
def bucket():
    name = f"bucket-{uuid.uuid4().hex}"
    attach("s3", conn_id=name, fs=Store(skip_instance_cache=True))  # of its own: Airflow keeps the first one of a name
    return f"s3://{name}@{name}"


def put(uri, content):
    from airflow_provider_kling.object_paths import storage_path

    storage_path(uri).write_bytes(content)


def test_a_video_from_a_store(bucket, clip):
    put(f"{bucket}/v.mp4", clip)
    opened = files.open_video(f"{bucket}/v.mp4")
    with opened.file as file:
        file.seek(5)
        assert file.read(3) == clip[5:8]
    assert (opened.size, opened.media_type, opened.name) == (len(clip), "video/mp4", "v.mp4")
    put(f"{bucket}/v.mp4", clip + b"\0\0\0\x08free")
    changed = files.open_video(f"{bucket}/v.mp4")
    changed.file.close()
    assert changed.etag != opened.etag


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("a.mp4", b"root:x:0:0", "it is no whole MP4"), ("b.mp4", b"", "it is no whole MP4"), ("forbidden.mp4", b"x", "AccessDenied")],
)
def test_what_is_no_video_or_may_not_be_read(bucket, name, content, says):
    put(f"{bucket}/{name}", content)
    with pytest.raises(stores.UnreadableError, match=says) as error:
        files.open_video(f"{bucket}/{name}")
    assert "root" not in str(error.value)


def test_what_is_not_there(bucket):
    for name in ("gone.mp4", "folder"):
        put(f"{bucket}/folder/v.mp4", b"x")
        with pytest.raises(files.NoSuchFileError, match="there is no such file"):
            files.open_video(f"{bucket}/{name}")


def test_a_place_without_a_file_system_is_a_sentence():
    with pytest.raises(stores.UnreadableError, match="cannot be reached"):
        files.open_video("s4://bucket/v.mp4")
    with pytest.raises(stores.UnreadableError, match="holds credentials") as error:
        files.open_video("s3://key:secret@bucket/v.mp4")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "info",
    [
        {"mtime": 1767225600.0},
        {"LastModified": datetime(2026, 1, 1, tzinfo=timezone.utc)},
        {"last_modified": datetime(2026, 1, 1)},  # noqa: DTZ001 - some stores leave out the zone
        {"updated": "2026-01-01T00:00:00Z"},
    ],
)
def test_stores_tell_when_a_file_was_changed_in_ways_of_their_own(info):
    assert storage.time_of(info) == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert storage.time_of({"mtime": "x"}) is None


def test_results_are_read_only_from_files_of_their_name(tmp_path):
    (tmp_path / "secrets.jsonl").write_text('{"id": "a", "password": "p"}\n')
    with pytest.raises(stores.UnreadableError, match=r"it is no results\.jsonl"):
        list(stores.result_lines(str(tmp_path / "secrets.jsonl")))


def test_a_manifest_that_is_none_tells_nothing_of_itself(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0:0\nnobody:x:1:1\n")
    lines = []
    try:
        lines = list(stores.manifest_lines({"manifest": str(tmp_path / "passwd"), "format": "csv"}, most=10))
    except stores.UnreadableError as error:
        assert "nobody" not in str(error)  # noqa: PT017 - both are fine, if nothing is told
    assert lines == []
