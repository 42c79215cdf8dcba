"""A manifest where it is: on this machine or in an object store."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.manifests import ManifestFile, Row, load_image
from airflow_provider_kling.object_paths import location_of

TEXT = "id,effect_scene,image,imgae_2\na,pet_loin,photos/a.jpg,\nb,squish,/b.jpg,\n"


@pytest.fixture
def folder(tmp_path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{tmp_path}")


@pytest.fixture
def store() -> Iterator[ObjectStoragePath]:
    attach("memory", fs=MemoryFileSystem())
    yield ObjectStoragePath(f"memory://{uuid.uuid4().hex}")
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["folder", "store"])
def place(request: pytest.FixtureRequest) -> ObjectStoragePath:
    """A folder for manifests: on this machine, or in an object store."""
    path: ObjectStoragePath = request.getfixturevalue(request.param)
    return path


def test_each_reading_begins_anew_and_gives_the_same_rows(place: ObjectStoragePath) -> None:
    (place / "m.csv").write_text(TEXT)
    with ManifestFile(location_of(place / "m.csv")) as manifest:
        rows = list(manifest.rows())
        assert rows == list(manifest.rows())
    assert [row.images for row in rows if isinstance(row, Row)] == [(f"{location_of(place)}/photos/a.jpg",), ("/b.jpg",)]


async def test_a_manifest_is_opened_in_asyncio_as_well(place: ObjectStoragePath) -> None:
    (place / "m.csv").write_text(TEXT)
    async with ManifestFile(location_of(place / "m.csv")) as manifest:
        assert [row.id for row in manifest.rows()] == ["a", "b"]


def test_a_manifest_in_a_store_is_read_from_one_copy_which_is_removed(store: ObjectStoragePath) -> None:
    (store / "m.csv").write_text(TEXT)
    with ManifestFile(location_of(store / "m.csv")) as manifest:
        (store / "m.csv").write_text("changed\n")
        assert [row.id for row in manifest.rows()] == ["a", "b"]
    with pytest.raises(KlingInputError, match=r"m\.csv does not exist"):
        list(manifest.rows())


def test_format_and_strictness_belong_to_the_file(place: ObjectStoragePath) -> None:
    (place / "m.txt").write_text(TEXT)
    with ManifestFile(location_of(place / "m.txt"), format="csv", strict=True) as manifest:
        assert [isinstance(row, Row) for row in manifest.rows()] == [False, True]
    with ManifestFile(location_of(place / "m.txt")) as manifest, pytest.raises(KlingManifestError, match="its name ends in"):
        list(manifest.rows())


def test_each_reading_may_report_its_warnings(place: ObjectStoragePath) -> None:
    (place / "m.csv").write_text(TEXT)
    with ManifestFile(location_of(place / "m.csv")) as manifest:
        for _ in range(2):
            warnings: list[str] = []
            list(manifest.rows(warnings.append))
            assert [text.split()[0] for text in warnings] == ["Column", "Scene"]


def test_a_manifest_that_does_not_exist_is_reported(place: ObjectStoragePath) -> None:
    def read() -> None:
        with ManifestFile(location_of(place / "none.csv")) as manifest:
            list(manifest.rows())

    with pytest.raises(KlingInputError, match=r"none\.csv does not exist; wanted is a manifest"):
        read()


def test_the_name_of_a_manifest_shows_no_credentials() -> None:
    assert ManifestFile("https://user:secret@host/m.csv?X-Amz-Signature=s").name == "https://host/m.csv?…"


def test_rows_are_read_within_the_block() -> None:
    with pytest.raises(RuntimeError, match="`with` block"):
        next(ManifestFile("m.csv").rows())


@pytest.mark.parametrize("change", ["written over", "replaced", "removed"])
def test_each_pass_gives_the_rows_that_were_there_first(folder: ObjectStoragePath, tmp_path: Path, change: str) -> None:
    (folder / "m.csv").write_text(TEXT)
    with ManifestFile(location_of(folder / "m.csv")) as manifest:
        first = list(manifest.rows())
        if change == "written over":
            (folder / "m.csv").write_text("changed\n")
        elif change == "replaced":
            (folder / "other.csv").write_text(TEXT.replace("a,", "new,"))
            (tmp_path / "other.csv").replace(tmp_path / "m.csv")
        else:
            (tmp_path / "m.csv").unlink()
        assert list(manifest.rows()) == first


def test_a_pipe_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.csv")
    with pytest.raises(KlingInputError, match="is a device, pipe or socket"), ManifestFile(str(tmp_path / "m.csv")):
        pass


@pytest.mark.parametrize("scheme", ["", "file://", "local://", "file:"])
def test_a_pipe_is_no_image_and_blocks_nobody(tmp_path: Path, scheme: str) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(KlingInputError, match="found a device, pipe or socket"):
        load_image(f"{scheme}{tmp_path}/a.jpg")
