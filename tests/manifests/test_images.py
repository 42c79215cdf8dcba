"""One image from anywhere, as it goes to the API."""

from __future__ import annotations

import base64
import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from places import ROOT

from airflow_provider_kling.api import MAX_IMAGE_BYTES, EffectRequest
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests import is_portable, load_image
from airflow_provider_kling.manifests.images import check_image
from airflow_provider_kling.redaction import is_inline

PHOTOS = Path(__file__).parent.parent.parent / "demo" / "images"
CHINA = PHOTOS / "china.jpg"
RAW = base64.b64encode(CHINA.read_bytes()).decode()


def image(format: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (300, 300), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.jpg",
        "HTTP://example.com:8080/a%20b.jpg?X-Amz-Signature=abc&x=1#part",
        "http://[::1]:8900/a",
        "https://bücher.example/日本.png",
        "http://localhost/no-image-at-all.gif",
    ],
)
def test_a_url_goes_as_it_is(url: str) -> None:
    assert load_image(url) == url


@pytest.mark.parametrize("photo", ["china.jpg", "flower.jpg", "grace_hopper.jpg"])
def test_a_photograph_becomes_the_base64_of_its_bytes(photo: str) -> None:
    assert base64.b64decode(load_image(str(PHOTOS / photo))) == (PHOTOS / photo).read_bytes()


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(str(CHINA), id="path"),
        pytest.param(f"  {CHINA}\n", id="path with blanks around it"),
        pytest.param(CHINA.as_uri(), id="file URI"),
        pytest.param(f"file://localhost{CHINA}", id="file URI with a host"),
        pytest.param(RAW, id="raw base64"),
        pytest.param("\n".join(RAW[at : at + 76] for at in range(0, len(RAW), 76)), id="base64 in lines"),
        pytest.param(RAW.rstrip("="), id="base64 without its padding"),
        pytest.param(f"data:image/jpeg;base64,{RAW}", id="data URI"),
        pytest.param(f"DATA:image/png;name=a;BASE64,{RAW.replace('+', '%2B')}", id="data URI with percent signs"),
        pytest.param("data:image/jpeg," + "".join(f"%{byte:02X}" for byte in CHINA.read_bytes()), id="data URI without base64"),
    ],
)
def test_every_way_to_give_an_image_gives_the_same(source: str) -> None:
    assert load_image(source) == RAW


def test_a_file_uri_may_write_a_blank_either_way(tmp_path: Path) -> None:
    path = tmp_path / "my photo.jpg"
    path.write_bytes(CHINA.read_bytes())
    assert load_image(f"file://{path}") == load_image(path.as_uri()) == RAW


def test_a_name_does_not_decide_what_an_image_is(tmp_path: Path) -> None:
    (tmp_path / "photo.gif").write_bytes(image("PNG"))
    assert load_image(str(tmp_path / "photo.gif")).startswith("iVBORw0KGgo")


def test_an_object_store_is_read_through_airflow() -> None:
    from airflow.sdk.io import attach
    from fsspec.implementations.memory import MemoryFileSystem

    store = MemoryFileSystem()
    attach("memory", fs=store)
    store.pipe("/bucket/china.jpg", CHINA.read_bytes())
    store.pipe("/bucket/large.jpg", CHINA.read_bytes() + bytes(MAX_IMAGE_BYTES))
    assert load_image("memory://bucket/china.jpg") == RAW
    with pytest.raises(KlingInputError, match=r"^memory://bucket/large\.jpg: has 10,682,413 bytes; wanted are at most"):
        load_image("memory://bucket/large.jpg")
    with pytest.raises(KlingInputError, match=r"^memory://bucket/none\.jpg: no such object in the store;"):
        load_image("memory://bucket/none.jpg")


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        *(("JPEG", mode) for mode in ("1", "L", "RGB", "CMYK")),
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ],
)
def test_every_kind_of_pixel_is_accepted(format: str, mode: str) -> None:
    check_image(image(format, mode), label="image")


@pytest.mark.parametrize("size", [(300, 300), (300, 750), (750, 300)])
def test_the_limits_themselves_are_accepted(size: tuple[int, int]) -> None:
    check_image(image(size=size), label="image")


def test_a_progressive_jpeg_and_one_of_two_frames_are_accepted() -> None:
    check_image(image(progressive=True), label="image")
    check_image(image("MPO", save_all=True, append_images=[Image.new("RGB", (300, 300))]), label="image of a phone")


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_an_image_that_lost_its_end_is_refused_wherever_it_was_cut(format: str) -> None:
    with Image.open(CHINA) as photo:
        file = io.BytesIO()
        photo.resize((320, 300)).save(file, format)
    data = file.getvalue()
    check_image(data, label="image")
    for kept in [*range(1, len(data), len(data) // 40), *range(len(data) - 16, len(data))]:
        with pytest.raises(KlingInputError):
            check_image(data[:kept], label="image")


@pytest.mark.parametrize(
    ("source", "portable", "inline"),
    [
        ("https://example.com/a.jpg", True, False),
        ("s3://bucket/a.jpg", True, False),
        ("gs://conn@bucket/a.jpg", True, False),
        ("file:///data/a.jpg", False, False),
        ("FILE:/data/a.jpg", False, False),
        ("/data/a.jpg", False, False),
        ("images/a.jpg", False, False),
        ("/9j/a.jpg", False, False),
        ("/9j/folder", False, False),
        ("C:\\images\\a.jpg", False, False),
        ("data/" * 40, False, False),
        (RAW, False, True),
        ("/9j/" + "A" * 28, False, True),
        ("iVBORw0KGgo" + "A" * 21, False, True),
        ("data:image/png;base64,AAAA", False, True),
        ("A" * 256, False, True),
        ("x" * 5000 + ".jpg", False, True),
    ],
)
def test_it_is_known_what_another_machine_can_read(source: str, portable: bool, inline: bool) -> None:
    assert (is_portable(source), is_inline(source)) == (portable, inline)


@pytest.mark.parametrize(
    ("source", "portable"),
    [
        ("/data/in/a.jpg", True),
        ("file:///data/in/a.jpg", True),
        ("/data/in/../in/a.jpg", True),
        ("/mnt/videos/deep/a.jpg", True),
        ("/data/in/../secret.jpg", False),
        ("/data/inner/a.jpg", False),
        ("/data/in", False),
        ("data/in/a.jpg", False),
        ("relative/a.jpg", False),
        ("memory://data/in/a.jpg", False),
        (RAW, False),
    ],
)
def test_files_in_shared_folders_are_read_by_another_machine(monkeypatch, source: str, portable: bool) -> None:
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", "/data/in/, /mnt/videos ,relative")
    assert is_portable(source) is portable


def test_a_loaded_image_makes_a_request() -> None:
    assert EffectRequest("squish", [load_image(str(CHINA))]).body["input"] == {"image": RAW}


@pytest.mark.integration
def test_large_images_are_decoded_one_after_the_other(tmp_path):
    """Eight threads, as a batch has, need little more memory than one: an image of 0.2 MB needs 350 MB."""
    script = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from airflow_provider_kling.manifests.images import check_image
data = open(sys.argv[1], "rb").read()
threads = int(sys.argv[2])
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(lambda _: check_image(data, label="x"), range(threads)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    Image.new("RGB", (7000, 7000)).save(tmp_path / "large.png")
    one, eight = (
        int(
            subprocess.run(
                [sys.executable, "-c", script, str(tmp_path / "large.png"), threads], cwd=ROOT, check=True, capture_output=True
            ).stdout
        )
        for threads in ("1", "8")
    )
    assert eight < 1.6 * one


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(mark: bytes, *chunks: bytes) -> bytes:
    """A PNG with these chunks before its first one of this kind."""
    data = image("PNG")
    at = data.index(mark) - 4
    return data[:at] + b"".join(chunks) + data[at:]


def large() -> bytes:
    return zlib.compress(b"a" * 2_000_000)


# Functions: to compress 170 MB takes a while, and every process of a run imports this module.
METADATA: dict[str, Callable[[], bytes]] = {
    "zTXt": lambda: chunk(b"zTXt", b"workflow\0\0" + large()),
    "iTXt": lambda: chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + large()),
    "iTXt, not compressed": lambda: chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"a" * 2_000_000),
    "iCCP": lambda: chunk(b"iCCP", b"icc\0\0" + zlib.compress(random.Random(1).randbytes(1_500_000))),
    "a bomb": lambda: chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(100_000_000))),
    "70 MB in many": lambda: chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1_000_000))) * 70,
    "broken, but of no matter": lambda: chunk(b"zTXt", b"x\0\0no zlib") + chunk(b"pHYs", b"1") + chunk(b"eXIf", b"x" * 70_000),
    "IEND in a text": lambda: chunk(b"tEXt", b"x\0IEND\xaeB`\x82"),
}


@pytest.mark.parametrize("metadata", METADATA)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_metadata_of_any_size_is_taken_and_never_inflated(monkeypatch, metadata: str, before: bytes) -> None:
    monkeypatch.setattr(PngImagePlugin, "_safe_zlib_decompress", None)
    check_image(png_with(before, METADATA[metadata]()), label="image")


def test_what_stands_in_metadata_hides_no_missing_end_and_no_frames() -> None:
    data = png_with(b"IDAT", METADATA["IEND in a text"]())
    with pytest.raises(KlingInputError, match=r"found a (truncated|broken) PNG"):
        check_image(data[:-12], label="image")
    two = io.BytesIO()
    Image.new("L", (300, 300)).save(two, "PNG", save_all=True, append_images=[Image.new("L", (300, 300), 9)])
    with pytest.raises(KlingInputError, match="an animated PNG of 2 frames"):
        check_image(two.getvalue(), label="image")


@pytest.mark.parametrize(
    ("kind", "what"), [(b"tEXt", "text chunk tEXt"), (b"iTXt", "text chunk iTXt"), (b"iCCP", "chunk iCCP"), (b"eXIf", "chunk eXIf")]
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_a_wrong_checksum_outside_the_picture_is_named(kind: bytes, what: str, before: bytes) -> None:
    wrong = chunk(kind, b"Comment\0hello")[:-1] + b"!"
    with pytest.raises(
        KlingInputError, match=rf"^a\.png: its {what} has a wrong checksum; wanted a whole file: save the image anew\.$"
    ):
        check_image(png_with(before, wrong), label="a.png")


@pytest.mark.parametrize(
    ("brand", "format"),
    [
        *((brand, "HEIC") for brand in ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1")),
        ("avci", "HEIF"),
        ("avis", "AVIF"),
        ("crx ", r"a raw photo \(CR3\)"),
        ("isom", r"a video \(MP4\)"),
    ],
)
def test_the_photos_of_phones_are_called_by_their_name(brand: str, format: str) -> None:
    with pytest.raises(KlingInputError, match=f"^a: found {format}; wanted JPEG or PNG"):
        check_image(b"\0\0\0\x18ftyp" + brand.encode() + bytes(16), label="a")
