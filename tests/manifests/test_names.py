"""Names of files and objects are no URLs: what they name is exactly there, or it is refused."""

from __future__ import annotations

import os
import unicodedata
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from places import PHOTOS

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests import ManifestFile, Row, load_image
from airflow_provider_kling.object_paths import location_of, storage_path
from airflow_provider_kling.storage import write_text

IMAGE = (PHOTOS / "china.jpg").read_bytes()
MANIFEST = "id,effect_scene,image\na,squish,{}\n"
NAMES = ["a#1", "why?", "a#", "a?b#c", "tab\tx", "line\nend", "50%20", "a b"]
# Airflow 3.1 has universal-pathlib 0.2, which reads a path as a URL whenever a name is joined to it. What that loses is refused.
OLD = version("universal-pathlib").startswith("0.2.")
REFUSED = pytest.raises(KlingInputError, match="cannot be reached as it is written: ")


@pytest.fixture(params=["memory://", "s3://names@"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URI of a bucket in memory, with the paths of either kind of store."""
    attach("memory", fs=MemoryFileSystem())
    attach("s3", "names", fs=MemoryFileSystem())
    yield f"{request.param}{uuid.uuid4().hex}"
    MemoryFileSystem.store.clear()


def put(uri: str, data: bytes) -> None:
    MemoryFileSystem().pipe(stored_at(uri), data)


def stored_at(uri: str) -> str:
    return f"/{uri.removeprefix('memory://').removeprefix('s3://names@')}"


def images(manifest: str) -> list[str]:
    with ManifestFile(manifest) as file:
        return [image for row in file.rows() if isinstance(row, Row) for image in row.images]


@pytest.mark.parametrize("name", [*NAMES, "a::b", "a:b", "s3:x"])
def test_a_folder_on_this_machine_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "m.csv").write_text(MANIFEST.format("p#1.jpg"))
    (folder / "p#1.jpg").write_bytes(IMAGE)
    for start in (str(folder), f"file://{folder}"):
        if OLD and not name.isprintable():
            with REFUSED:
                images(f"{start}/m.csv")
            continue
        [image] = images(f"{start}/m.csv")
        assert image == f"{folder}/p#1.jpg"
        assert load_image(image)
        write_text(storage_path(f"{start}/out::put") / "x#.txt", ["x"])
        assert (folder / "out::put" / "x#.txt").read_text() == "x"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", [*NAMES, "a//b", "/a"])
def test_an_object_may_have_any_name(store: str, name: str) -> None:
    folder = f"{store}/{name}"
    one_slash = OLD and store.startswith("memory://")
    photo = "p#1" if one_slash else "p//#1"
    put(f"{folder}/m.csv", MANIFEST.format(photo).encode())
    put(f"{folder}/{photo}", IMAGE)
    if OLD and (not name.isprintable() or (one_slash and "//" in f"/{name}")):
        for read in (images, load_image, storage_path):
            with REFUSED:
                read(f"{folder}/m.csv")
        return
    [image] = images(f"{folder}/m.csv")
    assert image == (f"{folder}/{photo}".replace("memory://", "memory:///") if OLD else f"{folder}/{photo}")
    assert load_image(image)
    if OLD and name.endswith(("?", "#")):  # as the last character of a folder, it would be lost
        with REFUSED:
            storage_path(folder)
        return
    write_text(storage_path(folder) / "x.txt", ["x"])
    assert f"{stored_at(folder)}/x.txt" in MemoryFileSystem.store
    assert len(MemoryFileSystem.store) == 3


@pytest.mark.parametrize("name", ["./m.csv", "a/./b", "a/."])
def test_a_dot_is_a_name_of_an_object_or_refused(store: str, name: str) -> None:
    if OLD:
        with REFUSED:
            storage_path(f"{store}/{name}")
    else:
        write_text(storage_path(f"{store}/{name}"), ["x"])
        assert list(MemoryFileSystem.store) == [stored_at(f"{store}/{name}")]


def test_capitals_of_a_scheme_are_those_of_no_other_store(store: str) -> None:
    scheme, _, rest = store.partition("://")
    write_text(storage_path(f"{scheme.upper()}://{rest}/a") / "x.txt", ["x"])
    assert list(MemoryFileSystem.store) == [f"{stored_at(store)}/a/x.txt"]


@pytest.mark.parametrize("name", ["a::b/m.csv", "a//", "/a?"])
def test_an_object_that_could_be_another_one_is_refused(store: str, name: str) -> None:
    if name == "/a?" and store.startswith("s3") and not OLD:  # which is exactly there
        assert storage_path(f"{store}/{name}").path == f"{stored_at(store)[1:]}/{name}"
        return
    for read in (load_image, storage_path):
        with REFUSED:
            read(f"{store}/{name}")


@pytest.mark.parametrize(("written", "found"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_found_in_either_form(tmp_path: Path, store: str, written: str, found: str) -> None:
    def name(form: str) -> str:
        return unicodedata.normalize(form, "José")  # type: ignore[arg-type]

    (tmp_path / name(written)).mkdir()
    folder = tmp_path / name(written)
    (folder / f"{name(found)}.csv").write_text(MANIFEST.format(f"{name(written)}.jpg"))
    (folder / f"{name(found)}.jpg").write_bytes(IMAGE)
    for start in (folder, tmp_path / name(found)):
        [image] = images(f"{start}/{name(written)}.csv")
        assert load_image(image)
    put(f"{store}/{name(found)}.jpg", IMAGE)
    assert load_image(f"{store}/{name(written)}.jpg")
    with pytest.raises(KlingInputError, match="no such object"):
        load_image(f"{store}/{name(written)}2.jpg")


def test_the_home_of_an_image_is_that_of_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "p.jpg").write_bytes(IMAGE)
    assert load_image("~/p.jpg") == load_image(str(tmp_path / "p.jpg"))
    assert location_of(storage_path("~/p.jpg")) == str(tmp_path / "p.jpg")


@pytest.mark.parametrize("place", ["s3://bucket", "s3://conn@bucket/", "gs://bucket"])
def test_a_bucket_is_no_file(place: str) -> None:
    with pytest.raises(KlingInputError, match=r"bucket/? is a bucket; wanted is a manifest in it \(\.csv, \.jsonl or \.json\)\."):
        images(place)
    with pytest.raises(KlingInputError, match=r"bucket/?: found a bucket; wanted the URI of a JPEG or PNG file in it\."):
        load_image(place)


def test_a_folder_is_no_file(store: str, tmp_path: Path) -> None:
    put(f"{store}/in/p.jpg", IMAGE)
    for place in (f"{store}/in", f"{store}/in/"):
        with pytest.raises(KlingInputError, match=r"in/?: found a folder; wanted the URI of a JPEG or PNG file\."):
            load_image(place)
        with pytest.raises(KlingInputError, match=r"in/? is a folder; wanted is a manifest"):
            images(place)
    with pytest.raises(KlingInputError, match="found a directory; wanted a JPEG or PNG file"):
        load_image(str(tmp_path))
