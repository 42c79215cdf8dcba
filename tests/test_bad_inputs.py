"""Bad inputs, and the one clear sentence that each of them gets: where it is, what was found, what is wanted."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_kling import api
from airflow_provider_kling.api import EFFECTS, MAX_IMAGE_BYTES, EffectRequest, scenes
from airflow_provider_kling.client import KlingSettings, seconds
from airflow_provider_kling.errors import KlingAnswerError, KlingInputError, KlingManifestError
from airflow_provider_kling.manifests import load_image, read_rows
from airflow_provider_kling.object_paths import storage_path

URL = "https://example.com/a.jpg"


@dataclass
class Connection:
    """A connection as Airflow has it."""

    conn_id: str = "kling_default"
    conn_type: str | None = "kling"
    login: str | None = None
    password: str | None = None
    host: str | None = None
    schema: str | None = None
    port: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def extra_dejson(self) -> dict[str, Any]:
        return self.extra


def image(width: int = 400, height: int = 400, format: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(file, format, **options)
    return file.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is this large, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def animated() -> bytes:
    others = [Image.new("RGB", (400, 400), (shade, 0, 0)) for shade in (50, 100)]
    return image(format="PNG", save_all=True, append_images=others)


# --- Scenes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scene", "images", "sentence"),
    [
        pytest.param("", [URL], "effect_scene is ''; wanted is the name of a scene, like 'pet_lion_pro'.", id="no scene"),
        pytest.param("  ", [URL], "effect_scene is '  '; wanted is the name of a scene, like 'pet_lion_pro'.", id="blank scene"),
        pytest.param(7, [URL], "effect_scene is 7; wanted is the name of a scene, like 'pet_lion_pro'.", id="scene is a number"),
        pytest.param(
            "pet_loin",
            [URL],
            f"Scene 'pet_loin' is not among the {len(scenes())} known to this version; "
            "the nearest known: pet_lion, pet_lion_pro, pet_diving.",
            id="unknown scene",
        ),
        pytest.param(
            "☃",
            [URL],
            f"Scene '☃' is not among the {len(scenes())} known to this version; no known scene has a name like it.",
            id="scene like no other",
        ),
        pytest.param(
            "pet_lion",
            [URL],
            "Scene 'pet_lion' is discontinued: Kling announced its end for 2026-01-30.",
            id="discontinued scene",
        ),
        pytest.param("squish", [], "Scene 'squish' takes one image; found none.", id="no image"),
        pytest.param("squish", [URL, URL], "Scene 'squish' takes one image; found two images.", id="one image too many"),
        pytest.param(
            "hug_pro", [URL], "Scene 'hug_pro' takes two images, the first stands left; found one image.", id="one image too few"
        ),
        pytest.param("new_scene", [URL] * 3, "Scene 'new_scene' has 3 images; every scene takes one or two.", id="three images"),
        pytest.param("squish", URL, "The images of scene 'squish' are to be a list of URLs or base64 texts.", id="image for list"),
        pytest.param(
            "squish", [None], "The images of scene 'squish' are to be a list of URLs or base64 texts.", id="image is None"
        ),
        pytest.param(
            "squish", ["china.jpg"], "Image 'china.jpg' is neither an http(s) URL nor raw base64.", id="path that was not loaded"
        ),
    ],
)
def test_a_bad_scene_gets_one_sentence(scene: str, images: list[str], sentence: str) -> None:
    with pytest.raises(KlingInputError) as caught:
        EffectRequest(scene, images).check_scene(strict=True)
    assert str(caught.value) == sentence


# --- Images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "found an empty file; wanted JPEG or PNG.", id="empty file"),
        pytest.param(image(format="GIF"), "found GIF; wanted JPEG or PNG.", id="GIF that is named JPEG"),
        pytest.param(image(format="WEBP"), "found WebP; wanted JPEG or PNG.", id="WebP"),
        pytest.param(image(format="BMP"), "found BMP; wanted JPEG or PNG.", id="BMP"),
        pytest.param(image(format="TIFF"), "found TIFF; wanted JPEG or PNG.", id="TIFF"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "found HEIC; wanted JPEG or PNG.", id="HEIC"),
        pytest.param(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "found AVIF; wanted JPEG or PNG.", id="AVIF"),
        pytest.param(b"\0\0\0\x18ftypisom\0\0\0\0mp42", "found a video (MP4); wanted JPEG or PNG.", id="video"),
        pytest.param(b"\n<!DOCTYPE html><html></html>", "found HTML; wanted JPEG or PNG.", id="error page"),
        pytest.param(b"<?xml version='1.0'?><svg/>", "found SVG; wanted JPEG or PNG.", id="SVG"),
        pytest.param(b"<?xml version='1.0'?><Error/>", "found XML; wanted JPEG or PNG.", id="XML"),
        pytest.param(b"%PDF-1.7", "found PDF; wanted JPEG or PNG.", id="PDF"),
        pytest.param(b"no image", "found text; wanted JPEG or PNG.", id="text"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer; wanted JPEG or PNG.", id="LFS"),
        pytest.param(b"\x01\x02\x03\x04", "found an unknown format; wanted JPEG or PNG.", id="noise"),
        pytest.param(animated(), "found an animated PNG of 3 frames; wanted a still JPEG or PNG.", id="animated PNG"),
        pytest.param(image(299, 400), "has 299 × 400 pixels; wanted are at least 300 on each side.", id="too narrow"),
        pytest.param(image(400, 299), "has 400 × 299 pixels; wanted are at least 300 on each side.", id="too low"),
        pytest.param(
            image(300, 751),
            "has 300 × 751 pixels, an aspect ratio of 1:2.5; wanted is one between 1:2.5 and 2.5:1.",
            id="one pixel too long",
        ),
        pytest.param(
            image(1200, 300),
            "has 1200 × 300 pixels, an aspect ratio of 4:1; wanted is one between 1:2.5 and 2.5:1.",
            id="panorama",
        ),
        pytest.param(
            image()[:-2], "found a truncated JPEG, which cannot be decoded; wanted a whole file.", id="JPEG without its last bytes"
        ),
        pytest.param(image()[:20], "found a broken JPEG, its header cannot be read; wanted a whole file.", id="head of a JPEG"),
        pytest.param(
            image(format="PNG")[:-1],
            "found a truncated PNG, which cannot be decoded; wanted a whole file.",
            id="PNG without its last byte",
        ),
        pytest.param(
            png_of(400, 400), "found a truncated PNG, which cannot be decoded; wanted a whole file.", id="PNG without its pixels"
        ),
        pytest.param(
            image(format="PNG").replace(b"IDAT", b"IDAT\1", 1)[:-1],
            "found a broken PNG, which cannot be decoded; wanted a whole file.",
            id="PNG with a wrong checksum",
        ),
        pytest.param(
            png_of(60_000, 60_000),
            "has more than 89,478,485 pixels; wanted fewer (a decompression bomb?).",
            id="decompression bomb",
        ),
        pytest.param(
            image() + bytes(MAX_IMAGE_BYTES),
            f"has {len(image()) + MAX_IMAGE_BYTES:,} bytes; wanted are at most 10,485,760 (10 MB).",
            id="large file",
        ),
    ],
)
@pytest.mark.parametrize("written", ["file", "base64"])
def test_a_bad_image_gets_one_sentence(tmp_path: Path, written: str, data: bytes, sentence: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    inline = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    shown = str(path) if written == "file" else f"image in a data: URI ({len(inline):,} characters)"
    with pytest.raises(KlingInputError) as caught:
        load_image(str(path) if written == "file" else inline)
    found = re.sub(r"has 10,\d{3},\d{3} bytes", "has … bytes", str(caught.value))
    assert found == f"{shown}: {re.sub(r'has 10,[0-9,]+ bytes', 'has … bytes', sentence)}"


NO_URL = "is no URL that Kling can load: {}; wanted is one like https://host/image.jpg."


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param("", "An image is empty; wanted a URL, a path, or base64.", id="empty"),
        pytest.param(" \n", "An image is empty; wanted a URL, a path, or base64.", id="blank"),
        pytest.param(None, "An image is of type NoneType; wanted a URL, a path, or base64 as text.", id="None"),
        pytest.param(b"\xff\xd8\xff", "An image is of type bytes; wanted a URL, a path, or base64 as text.", id="bytes"),
        pytest.param("http://", "http:// " + NO_URL.format("it names no host"), id="URL without a host"),
        pytest.param("https:///a.jpg", "https:///a.jpg " + NO_URL.format("it names no host"), id="URL with three slashes"),
        pytest.param(
            "https:/host/a.jpg",
            "https:/host/a.jpg " + NO_URL.format("two slashes are to follow its scheme"),
            id="URL with one slash",
        ),
        pytest.param(
            "https://host/a b.jpg",
            "https://host/a b.jpg " + NO_URL.format("it has a blank inside, which is to be written %20"),
            id="URL with a blank",
        ),
        pytest.param("http://[::1/a.jpg", "http://[::1/a.jpg " + NO_URL.format("its host or port is malformed"), id="half an IPv6"),
        pytest.param(
            "http://h:99999/", "http://h:99999/ " + NO_URL.format("its host or port is malformed"), id="port out of range"
        ),
        pytest.param(
            "https://key:secret@h:x/a?X-Amz-Signature=abc",
            "https://h:x/a?… " + NO_URL.format("its host or port is malformed"),
            id="bad URL with a signature and a password",
        ),
        pytest.param(
            "no/such.jpg",
            "no/such.jpg: no such file on this machine; wanted the path of a JPEG or PNG file, or a URL.",
            id="no such file",
        ),
        pytest.param("/dev/zero", "/dev/zero: found a device, pipe or socket; wanted a JPEG or PNG file.", id="device"),
        pytest.param(
            "a\0b.jpg",
            "a\ufffdb.jpg: cannot be read (its name is malformed); wanted a readable JPEG or PNG file.",
            id="NUL in a path",
        ),
        pytest.param(
            "data:image/png",
            "image in a data: URI (14 characters): a data: URI has no comma; wanted data:image/jpeg;base64,… or raw base64.",
            id="data URI without data",
        ),
        pytest.param(
            "data:text/html,%3Chtml%3E",
            "image in a data: URI (25 characters): found HTML; wanted JPEG or PNG.",
            id="data URI of a page",
        ),
        pytest.param(
            "/9j/" + "A" * 300 + "…" + "A" * 300,
            "base64 image (605 characters): is not whole base64; wanted base64 of a JPEG or PNG file, unbroken.",
            id="base64 that was cut by an editor",
        ),
        pytest.param(
            "iVBORw0KGgo" * 5,
            "base64 image (55 characters): found a broken PNG, its header cannot be read; wanted a whole file.",
            id="torn",
        ),
        pytest.param(
            "/9j/" + "A" * 20_000_000,
            "base64 image (20,000,004 characters): has 15,000,003 bytes; wanted are at most 10,485,760 (10 MB).",
            id="huge",
        ),
        pytest.param(
            "s3://conn@bucket/a.jpg",
            "s3://bucket/a.jpg: s3:// needs apache-airflow-providers-amazon[s3fs], which is not installed; "
            "install airflow-provider-kling[s3].",
            id="object store whose provider is missing",
        ),
        pytest.param(
            "ftp://host/a.jpg",
            "ftp://host/a.jpg: no installed Airflow provider reads ftp://; wanted http(s)://, a path, s3:// (extra s3), "
            "gs:// (extra gcs), abfs:// (extra azure), or install the provider that brings it.",
            id="unknown scheme",
        ),
    ],
)
def test_a_bad_source_gets_one_sentence(source: str, sentence: str) -> None:
    with pytest.raises(KlingInputError) as caught:
        load_image(source)
    assert str(caught.value) == sentence


def test_a_directory_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(KlingInputError, match=r": found a directory; wanted a JPEG or PNG file\.$"):
        load_image(str(tmp_path))


# --- Manifests -------------------------------------------------------------------------------------------------

CSV, JSONL, JSON = "m.csv", "m.jsonl", "m.json"
HEAD = b"id,effect_scene,image,image_1,image_2\n"
ROW = b'{"effect_scene": "squish", "image": "a.jpg"}'


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        pytest.param(
            "m.xlsx",
            b"",
            "its name ends in '.xlsx'; wanted is one of .csv, .jsonl, .ndjson, .json, or say format='csv'.",
            id="Excel",
        ),
        pytest.param(
            "m", b"", "its name has no suffix; wanted is one of .csv, .jsonl, .ndjson, .json, or say format='csv'.", id="no suffix"
        ),
        pytest.param(CSV, b"", "it is empty; wanted is a header line and rows.", id="empty CSV"),
        pytest.param(CSV, b"\n \n", "it is empty; wanted is a header line and rows.", id="blank CSV"),
        pytest.param(JSONL, b"\n", "it is empty; wanted is one JSON object per line.", id="empty JSON Lines"),
        pytest.param(JSON, b"", "it is empty; wanted is a list of objects.", id="empty JSON"),
        pytest.param(CSV, HEAD, "it holds no rows; wanted is at least one.", id="mere header"),
        pytest.param(JSON, b"[]", "it holds no rows; wanted is at least one.", id="empty list"),
        pytest.param(
            CSV,
            b"effect_scen,image\nsquish,a.jpg\n",
            "line 1: column 'effect_scene' is missing; found effect_scen, image. Did you mean column 'effect_scen'?",
            id="misspelt column effect_scene",
        ),
        pytest.param(
            CSV,
            b"effect_scene,Imgae\nsquish,a.jpg\n",
            "line 1: column 'image' (or image_1 and image_2, or images) is missing; "
            "found effect_scene, Imgae. Did you mean column 'Imgae'?",
            id="misspelt column image",
        ),
        pytest.param(
            CSV,
            b"effect_scene,image,title,title\nsquish,a.jpg,b,c\n",
            "line 1: column 'title' stands 2 times; wanted is each once.",
            id="column twice",
        ),
        pytest.param(
            CSV,
            b"effect_scene,image,status\nsquish,a.jpg,new\n",
            "line 1: Column 'status' has a name that the results use themselves; rename it.",
            id="column of the results",
        ),
        pytest.param(CSV, b"effect_scene,,image\nsquish,,a.jpg\n", "line 1: column 2 has no name.", id="column without a name"),
        pytest.param(
            CSV,
            HEAD + b"1,squish,caf\xe9.jpg,,\n",
            "line 2, byte 13: found 0xe9, which is not UTF-8; save the file as UTF-8.",
            id="Latin-1",
        ),
        pytest.param(CSV, HEAD.decode().encode("utf-16"), "line 1: found UTF-16; wanted is text: save it as UTF-8.", id="UTF-16"),
        pytest.param(
            CSV,
            HEAD.decode().encode("utf-16-le"),
            "line 1: found a NUL character, as in UTF-16 or a binary file; save the file as UTF-8.",
            id="UTF-16 without a BOM",
        ),
        pytest.param(
            CSV, b"PK\3\4", "line 1: found an Excel workbook or ZIP; wanted is text: save it as UTF-8.", id="renamed Excel"
        ),
        pytest.param(
            CSV,
            b"effect_scene,image\rsquish,a.jpg\r",
            "line 1: found a bare carriage return as line end; save the file with LF or CRLF line ends.",
            id="CR",
        ),
        pytest.param(
            CSV,
            HEAD + b'1,squish,a.jpg,,\n2,squish,"b.jpg,,\n3,squish,c.jpg,,\n',
            'line 3: a quote (") opens here and is never closed; close it, or double it where it is meant.',
            id="open quote",
        ),
        pytest.param(
            CSV,
            HEAD + b'1,squish,"a"b.jpg,,\n',
            'line 2, row 1: a quoted cell goes on after its closing quote; write a quote within a cell as "".',
            id="stray quote",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,squish,a.jpg,,,x,y\n",
            "line 2, id 'a': It has 7 fields; wanted are 5, as in the header: quote a value that holds a ','.",
            id="too many fields",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,squish,a.jpg\n",
            "line 2, id 'a': It has 3 fields; wanted are 5, as in the header: an empty value needs its delimiter too.",
            id="too few fields",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,,a.jpg,,\n",
            "line 2, id 'a': effect_scene is empty; wanted is the name of a scene, like 'pet_lion_pro'.",
            id="row without a scene",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,squish,,,\n",
            "line 2, id 'a': image is empty; wanted is a URL, a path or base64 in image, or two in image_1 and image_2.",
            id="row without an image",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,hug_pro,a.jpg,b.jpg,c.jpg\n",
            "line 2, id 'a': image and image_1 are both filled; wanted is image, or image_1 and image_2, or images.",
            id="image and image_1",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,hug_pro,,,c.jpg\n",
            "line 2, id 'a': image_2 is filled, but image_1 is empty; wanted is the left image in image_1, or one image in image.",
            id="right image only",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,hug_pro,c.jpg,,\n",
            "line 2, id 'a': Scene 'hug_pro' takes two images, the first stands left; found one image.",
            id="one image for two",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,squish,,b.jpg,c.jpg\n",
            "line 2, id 'a': Scene 'squish' takes one image; found two images.",
            id="two images for one",
        ),
        pytest.param(
            CSV,
            HEAD + b"a,squish,a.jpg,,\n\nb,squish,b.jpg,,\na,squish,c.jpg,,\n",
            "line 5, id 'a': id 'a' is taken already by line 2; wanted is one of its own.",
            id="id twice",
        ),
        pytest.param(
            CSV,
            HEAD + b",squish,a.jpg,,\n1,squish,b.jpg,,\n",
            "line 3, id '1': id '1' is taken already as its number by line 2, which has no id; wanted is one of its own.",
            id="id that is the number of another row",
        ),
        pytest.param(
            CSV,
            HEAD + b"2,squish,a.jpg,,\n,squish,b.jpg,,\n",
            "line 3, row 2: It has no id, and its number 2 is the id of line 2; give it one.",
            id="number that is the id of another row",
        ),
        pytest.param(
            CSV,
            HEAD + b"x" * 201 + b",squish,a.jpg,,\n",
            "line 2, row 1: id has 201 characters; wanted are at most 200 printable ones.",
            id="long id",
        ),
        pytest.param(
            CSV,
            HEAD + b"a\tb,squish,a.jpg,,\n",
            "line 2, row 1: id 'a\\tb' has control characters; wanted are at most 200 printable ones.",
            id="id with a tab",
        ),
        pytest.param(
            CSV,
            HEAD + b"a," + b"x" * 101 + b",a.jpg,,\n",
            "line 2, id 'a': effect_scene is a text of 101 characters, or with control characters; "
            "wanted is the name of a scene, like 'pet_lion_pro'.",
            id="long scene",
        ),
        pytest.param(
            CSV,
            b'effect_scene,images\nhug_pro,"[""a.jpg"""\n',
            'line 2, row 1: images is a text; wanted is a list, like ["left.jpg", "right.jpg"] or left.jpg|right.jpg.',
            id="half a list of images",
        ),
        pytest.param(
            JSONL,
            b"[" + ROW + b"]",
            "line 1: found a list; wanted is one object per line, or a name that ends in .json.",
            id="JSON named .jsonl",
        ),
        pytest.param(
            JSON,
            ROW + b"\n" + ROW,
            "found an object; wanted is a list of objects, [{…}, {…}]. Objects line by line belong in a .jsonl file.",
            id="JSON Lines named .json",
        ),
        pytest.param(
            JSONL,
            ROW + b'\n{"effect_scene": "squish",\n',
            "line 2, row 2: It is not valid JSON: Expecting property name enclosed in double quotes at column 27.",
            id="half an object",
        ),
        pytest.param(
            JSONL,
            ROW + b" " + ROW,
            "line 1, row 1: It goes on after its object, at column 45; wanted is one object per line.",
            id="two on a line",
        ),
        pytest.param(
            JSONL,
            b"7",
            "line 1, row 1: It is a number (7); wanted is an object with effect_scene and image.",
            id="number for object",
        ),
        pytest.param(
            JSONL,
            b'{"effect_scene": "squish", "image": 7}',
            "line 1, row 1: image is a number (7); wanted is a URL, a path or base64 as text.",
            id="image is a number",
        ),
        pytest.param(
            JSONL,
            b'{"effect_scene": "hug_pro", "images": ["a.jpg", null]}',
            "line 1, row 1: images[1] is null; wanted is a URL, a path or base64 as text.",
            id="one of the images is null",
        ),
        pytest.param(
            JSONL,
            b'{"scene": "squish", "image": "a.jpg"}',
            "line 1, row 1: effect_scene is empty; wanted is the name of a scene, like 'pet_lion_pro'. "
            "Did you mean column 'scene'?",
            id="misspelt key",
        ),
        pytest.param(
            JSONL,
            b'{"effect_scene": "squish", "image": "a.jpg", "image": "b.jpg"}',
            "line 1, row 1: The key 'image' stands twice; wanted is each once.",
            id="key twice",
        ),
        pytest.param(
            JSONL,
            b'{"effect_scene": "squish", "image": "a.jpg", "n": NaN}',
            "line 1, row 1: It holds NaN, which is no JSON; wanted is a number or null.",
            id="NaN",
        ),
        pytest.param(
            JSONL,
            b'{"effect_scene": "squish", "image": "a.jpg", "n": 1e999}',
            "line 1, row 1: A column holds a number too large for JSON; wanted is a finite one, or a text.",
            id="infinite number",
        ),
        pytest.param(
            JSONL,
            b'{"id": true, "effect_scene": "squish", "image": "a"}',
            "line 1, row 1: id is true or false; wanted is a text.",
            id="id is true",
        ),
        pytest.param(
            JSONL,
            b"[" * 99 + b"\n",
            "line 1: found a list; wanted is one object per line, or a name that ends in .json.",
            id="deep list",
        ),
        pytest.param(
            JSONL, b'{"a":' * 99_999, "line 1, row 1: It is not valid JSON: it is nested too deeply.", id="very deep object"
        ),
        pytest.param(
            JSON,
            b"[\n" + ROW + b",\n" + ROW + b"\n",
            "it is not valid JSON: after item 2, line 4, a comma or ] is missing; is the file cut off?",
            id="list that was cut off",
        ),
        pytest.param(
            JSON, b"[" + ROW + b",]", "it is not valid JSON: Expecting value at line 1, column 47.", id="comma at the end"
        ),
        pytest.param(JSON, b"[" + ROW + b"] []", "it goes on after its list; wanted is one list of objects.", id="two lists"),
    ],
)
def test_a_bad_manifest_gets_one_sentence(name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(KlingManifestError) as caught:
        read_rows(io.BytesIO(data), name=name).raise_for_problems()
    assert str(caught.value) == f"{name}: {sentence}"


# --- Credentials, ids, base URLs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        pytest.param({"conn_type": "slack", "password": "k"}, "its type is 'slack'; wanted is 'kling'.", id="another service"),
        pytest.param({"conn_type": None, "password": "k"}, "its type is None; wanted is 'kling'.", id="no type"),
        pytest.param({}, "password is empty; wanted is an API key, or login and password", id="no credentials"),
        pytest.param({"login": "ak"}, "password is empty; wanted is the secret key of its access key.", id="no secret key"),
        pytest.param({"password": "key\n"}, "API key (the connection's password) is not a plain word", id="line end"),
        pytest.param({"password": "kéy"}, "API key (the connection's password) is not a plain word", id="no ASCII"),
        pytest.param({"login": " ak", "password": "sk"}, "access key (the connection's login) is not a plain word", id="blank"),
        pytest.param({"login": "ak", "password": "s\tk"}, "secret key (the connection's password) is not a plain word", id="tab"),
        pytest.param({"password": "k", "host": "ftp://a.example"}, "host has the scheme 'ftp'; wanted is http or https.", id="ftp"),
        pytest.param({"password": "k", "host": "https://"}, "host is 'https://'; wanted is a base URL like https://", id="no host"),
        pytest.param({"password": "k", "host": "https://a b"}, "host is 'https://a b'; wanted is a base URL", id="blank in host"),
        pytest.param({"password": "k", "host": "https://a:port"}, "host is 'https://a:port'; wanted is a base URL", id="bad port"),
        pytest.param({"password": "k", "host": "https://[::1"}, "host is 'https://[::1'; wanted is a base URL", id="open bracket"),
        pytest.param({"password": "k", "host": "https://a/?x=1"}, "host holds more than scheme, name, port and path", id="query"),
        pytest.param(
            {"password": "k", "host": "https://u:p@a"}, "host holds more than scheme, name, port and path", id="user in host"
        ),
        pytest.param({"password": "k", "extra": {"timeout": "soon"}}, "extra timeout is 'soon'; wanted is a number", id="timeout"),
        pytest.param(
            {"password": "k", "extra": {"timeout": 0}}, "extra timeout is 0; wanted is a number of seconds", id="timeout 0"
        ),
        pytest.param({"password": "k", "extra": {"timeout": True}}, "extra timeout is True; wanted is a number", id="timeout true"),
        pytest.param(
            {"password": "k", "extra": {"verify": 3}}, "extra verify is 3; wanted is true, false, or the path", id="verify"
        ),
        pytest.param({"password": "k", "extra": {"proxies": ["proxy"]}}, "extra proxies is not as wanted: a URL", id="proxy"),
        pytest.param(
            {"password": "k", "extra": {"proxies": "socks5://proxy:1080"}},
            "'kling_default': extra proxies is socks5://proxy:1080; wanted is an HTTP proxy like http://proxy.example:3128. SOCKS",
            id="proxy socks",
        ),
        pytest.param(
            {"password": "k", "extra": {"proxies": {"htps": "proxy:3128"}}},
            "extra proxies has 'htps'; wanted are the schemes http and https",
            id="proxy scheme",
        ),
        pytest.param(
            {"password": "k", "extra": {"proxies": {"https": 1}}}, "extra proxies is not as wanted: a URL", id="proxy number"
        ),
        pytest.param(
            {"password": "k", "extra": {"max_concurrency": 0}}, "max_concurrency is 0; wanted is a whole number", id="slots 0"
        ),
        pytest.param(
            {"password": "k", "extra": {"max_concurrency": 1.5}}, "max_concurrency is 1.5; wanted is a whole", id="slots 1.5"
        ),
        pytest.param(
            {"password": "k", "extra": {"max_concurrency": "x"}}, "max_concurrency is 'x'; wanted is a whole", id="slots x"
        ),
        pytest.param(
            {"password": "k", "extra": {"webhook_secret": "abc"}}, "webhook_secret is not as wanted: whsec_", id="webhook"
        ),
        pytest.param({"password": "k", "extra": {"webhook_secret": "whsec_"}}, "webhook_secret is not as wanted", id="no key"),
        pytest.param({"password": "k", "extra": {"webhook_secret": "whsec_x"}}, "webhook_secret is not as wanted", id="no base64"),
    ],
)
def test_a_bad_connection_gets_one_clear_sentence(connection: dict[str, Any], sentence: str) -> None:
    text = _must_fail(lambda: KlingSettings.of(Connection(**connection)))
    assert text.startswith("Connection 'kling_default': ")
    assert sentence in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({}, "https://api-singapore.klingai.com"),
        ({"host": "http://127.0.0.1:8900"}, "http://127.0.0.1:8900"),
        ({"host": "http://127.0.0.1:8900/"}, "http://127.0.0.1:8900"),
        ({"host": "api-beijing.klingai.com"}, "https://api-beijing.klingai.com"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8900}, "http://127.0.0.1:8900"),
        ({"host": "https://gateway.example:8443/kling/"}, "https://gateway.example:8443/kling"),
        ({"host": "http://[::1]:8900"}, "http://[::1]:8900"),
    ],
)
def test_a_base_url_may_be_written_in_many_ways(connection: dict[str, Any], url: str) -> None:
    assert KlingSettings.of(Connection(password="k", **connection)).base_url == url


def test_the_extras_of_a_connection_arrive() -> None:
    extra = {"timeout": "5", "verify": "no", "proxies": "http://p:1", "max_concurrency": "3", "webhook_secret": "whsec_eHh4"}
    settings = KlingSettings.of(Connection(password="k", extra=extra))
    assert (settings.timeout, settings.verify, settings.max_concurrency) == (5.0, False, 3)
    assert settings.proxies == {"http": "http://p:1", "https": "http://p:1"}
    assert "whsec" not in repr(settings)
    assert KlingSettings.of(Connection(password="k", extra={"verify": "/etc/ca.pem"})).verify == "/etc/ca.pem"


@pytest.mark.parametrize(
    ("any_id", "sentence"),
    [
        pytest.param("", "A task id is ''; wanted is the id of a Kling task, or an external id.", id="empty"),
        pytest.param(" 7", "A task id is ' 7'; wanted is the id of a Kling task", id="blank"),
        pytest.param("..", "A task id is '..'; wanted is the id of a Kling task", id="dots"),
        pytest.param("a\nb", "A task id is 'a\\nb'; wanted is the id of a Kling task", id="line end"),
        pytest.param(True, "A task id is True; wanted is a text", id="true"),
        pytest.param(8.3e17, "A task id is 8.3e+17; wanted is a text", id="float"),
        pytest.param(None, "A task id is None; wanted is a text", id="none"),
        pytest.param("x" * 257, "A task id has 257 characters; wanted are at most 256.", id="long"),
    ],
)
def test_a_bad_id_gets_one_clear_sentence(any_id: Any, sentence: str) -> None:
    assert sentence in _must_fail(lambda: api.get_call(EFFECTS, any_id))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        pytest.param(lambda: api.list_call(EFFECTS, page_num=0), "page_num is 0; the API takes 1 to 1000.", id="page 0"),
        pytest.param(lambda: api.list_call(EFFECTS, page_num=1001), "page_num is 1001; the API takes 1 to 1000.", id="page 1001"),
        pytest.param(lambda: api.list_call(EFFECTS, page_size=501), "page_size is 501; the API takes 1 to 500.", id="page of 501"),
        pytest.param(lambda: seconds(0, "timeout"), "timeout is 0; wanted is a positive number of seconds", id="no time"),
        pytest.param(lambda: seconds("5", "timeout"), "timeout is '5'; wanted is a positive number of seconds", id="time as text"),
        pytest.param(lambda: storage_path(""), "A path is ''; wanted is a path, or a URI", id="no path"),
        pytest.param(lambda: storage_path("s3://b/k"), "install airflow-provider-kling[s3]", id="s3 without its provider"),
        pytest.param(lambda: storage_path("foo://b/k"), "foo://b/k cannot be reached: no provider that is installed", id="foo"),
    ],
)
def test_a_bad_argument_gets_one_clear_sentence(call: Callable[[], object], sentence: str) -> None:
    assert sentence in _must_fail(call)


# --- Answers ---------------------------------------------------------------------------------------------------


TASK = {"task_id": "1", "task_status": "submitted"}


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        pytest.param(502, b"<html>Bad Gateway</html>", "HTTP 502 brought '<html>Bad Gateway</html>' instead of JSON", id="html"),
        pytest.param(200, b"", "HTTP 200 brought an empty body instead of JSON", id="empty"),
        pytest.param(200, b'{"code": 0, "data": {"task', "instead of JSON", id="half"),
        pytest.param(200, b"[]", "HTTP 200 brought [] instead of an object.", id="list"),
        pytest.param(200, b"{}", "HTTP 200 brought an object without a code", id="no code"),
        pytest.param(200, b'{"code": true}', "HTTP 200 brought an object without a code", id="code is true"),
        pytest.param(200, {"code": 0}, "An answer holds None where a task is expected.", id="no data"),
        pytest.param(200, {"code": 0, "data": []}, "An answer holds [] where a task is expected.", id="data is a list"),
        pytest.param(200, {"code": 0, "data": {"task_status": "submitted"}}, "An answer has no task_id", id="no id"),
        pytest.param(200, {"code": 0, "data": {"task_id": "1"}}, "An answer has no task_status", id="no status"),
        pytest.param(200, {"code": 0, "data": TASK | {"task_id": 1.5}}, "task_id is 1.5, not a text.", id="id is a float"),
        pytest.param(200, {"code": 0, "data": TASK | {"task_info": "x"}}, "holds 'x' where task_info is expected", id="info"),
        pytest.param(
            200, {"code": 0, "data": TASK | {"task_result": {"videos": 1}}}, "videos of a task is 1, not a list.", id="videos"
        ),
        pytest.param(200, {"code": 0, "data": TASK | {"task_result": {"videos": [{}]}}}, "An answer has no url", id="no url"),
        pytest.param(200, {"code": 0, "data": TASK | {"created_at": "noon"}}, "created_at is 'noon', not a number.", id="time"),
        pytest.param(200, {"code": 0, "data": TASK | {"created_at": 1e40}}, "created_at is 1e+40, not a time", id="far time"),
        pytest.param(
            200, {"code": 0, "data": TASK | {"final_unit_deduction": "many"}}, "final_unit_deduction is 'many'", id="units"
        ),
        pytest.param(
            200,
            {"code": 0, "data": {"task_id": "1", "task_status": "succeed", "task_result": {"videos": []}}},
            "Task '1' has succeeded, but its answer holds no video.",
            id="success without a video",
        ),
    ],
)
def test_a_bad_answer_gets_one_clear_sentence(status: int, body: Any, sentence: str) -> None:
    answer = api.Response(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())
    with pytest.raises(KlingAnswerError) as caught:
        api.get_call(EFFECTS, "1").read(answer)
    assert sentence in str(caught.value)
    assert caught.value.retryable
    assert caught.value.http_status == status


def _must_fail(call: Callable[[], object]) -> str:
    """The one line of the error that a call raises."""
    with pytest.raises(KlingInputError) as caught:
        call()
    return str(caught.value)


def test_no_error_shows_an_image() -> None:
    written = base64.b64encode(image(200, 200)).decode()
    calls: list[Callable[[], object]] = [
        lambda: load_image(written),
        lambda: load_image(f"data:image/jpeg;base64,{written}"),
        lambda: load_image(written + "!"),
        lambda: read_rows(io.BytesIO(f"effect_scene,image\nhug_pro,{written}\n".encode()), name=CSV).raise_for_problems(),
        lambda: read_rows(io.BytesIO(f"effect_scene,image\n{written},squish\n".encode()), name=CSV).raise_for_problems(),
        lambda: read_rows(io.BytesIO(f"{written},{written}\n".encode()), name=CSV),
    ]
    for call in calls:
        assert written[:60] not in _must_fail(call)
