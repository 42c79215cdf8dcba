"""Manifests: rows in, all bad rows at once, in little memory."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples import examples
from hypothesis import HealthCheck, example, given, settings, strategies as st

from airflow_provider_kling.api import scenes
from airflow_provider_kling.errors import KlingError, KlingManifestError
from airflow_provider_kling.manifests import BadRow, Manifest, Row, parse_rows, read_rows, resolve_images
from airflow_provider_kling.results import join
from airflow_provider_kling.results.lines import to_jsonl

DEMO = Path(__file__).parent.parent.parent / "demo"


def read(text: str | bytes, name: str = "m.csv", *, strict: bool = False, format: str | None = None) -> Manifest:
    return read_rows(io.BytesIO(text.encode() if isinstance(text, str) else text), name=name, strict=strict, format=format)


# --- Good rows -------------------------------------------------------------------------------------------------


OBJECT = '{"id":"a","effect_scene":"hug_pro","image_1":"l.jpg","image_2":"r.jpg","title":"A, \\"B\\""}'
SAME = {
    "m.csv": 'id,effect_scene,image_1,image_2,title\na,hug_pro,l.jpg,r.jpg,"A, ""B"""\n',
    "m.JSONL": f"{OBJECT}\n",
    "s3://bucket/m.ndjson?versionId=1": f"\n{OBJECT}",
    "m.json": f"[\n{OBJECT}\n]\n",
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_every_format_holds_the_same_row(name: str, bom: bytes) -> None:
    [row] = read(bom + SAME[name].encode(), name).rows
    assert (row.id, row.number, row.effect_scene, row.images) == ("a", 1, "hug_pro", ("l.jpg", "r.jpg"))
    assert row.columns == {"effect_scene": "hug_pro", "image_1": "l.jpg", "image_2": "r.jpg", "title": 'A, "B"'}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_header_tells_the_delimiter(delimiter: str, end: str) -> None:
    text = "effect_scene,image,title\nsquish,a.jpg,x\n".replace(",", delimiter).replace("\n", end)
    assert read(text).rows[0].columns == {"effect_scene": "squish", "image": "a.jpg", "title": "x"}


@pytest.mark.parametrize(
    ("line", "images"),
    [
        ('{"effect_scene":"squish","image":" a.jpg "}', ("a.jpg",)),
        ('{"effect_scene":"squish","image":"a.jpg","image_1":null,"images":[]}', ("a.jpg",)),
        ('{"effect_scene":"squish","image_1":"a.jpg","image_2":""}', ("a.jpg",)),
        ('{"effect_scene":"squish","images":["a.jpg"]}', ("a.jpg",)),
        ('{"effect_scene":"hug_pro","images":["a.jpg","b.jpg"]}', ("a.jpg", "b.jpg")),
        ('{"effect_scene":"hug_pro","images":"a.jpg | b.jpg"}', ("a.jpg", "b.jpg")),
        ('{"effect_scene":"hug_pro","images":"[\\"a.jpg\\", \\"b|c.jpg\\"]"}', ("a.jpg", "b|c.jpg")),
    ],
)
def test_images_may_be_given_in_each_of_three_ways(line: str, images: tuple[str, ...]) -> None:
    assert read(line, "m.jsonl").rows[0].images == images


def test_lines_are_those_of_the_file_with_blank_lines_and_line_ends_in_cells() -> None:
    manifest = read('effect_scene,image,title\n\nsquish,a.jpg,"two\nlines"\n,,\nsquish,b.jpg,x\nsquish,,x\n')
    assert [(row.line, row.number, row.id) for row in manifest.all_rows] == [(3, 1, "1"), (6, 2, "2"), (7, 3, "3")]
    assert [bad.place for bad in manifest.bad_rows] == ["line 7, row 3"]


def test_lines_of_a_json_list_are_those_of_the_file() -> None:
    row = '{"effect_scene":\n"squish", "image": "a.jpg"}'
    assert [found.line for found in read(f"\n[{row},\n\n{row}, {row}]", "m.json").rows] == [2, 5, 6]


def test_an_id_that_is_a_number_becomes_a_text() -> None:
    rows = read('{"id":7,"effect_scene":"squish","image":"a"}\n{"id":" b ","effect_scene":"squish","image":"a"}\n', "m.jsonl").rows
    assert [row.id for row in rows] == ["7", "b"]


def test_a_comma_at_the_end_of_each_line_is_no_column() -> None:
    assert read("effect_scene,image,\nsquish,a.jpg,\nsquish,b.jpg\n").rows[1].columns == {
        "effect_scene": "squish",
        "image": "b.jpg",
    }


def test_further_columns_are_carried_untouched() -> None:
    columns = {"n": 1.5, "big": 12345678901234567890, "list": [1, {"a": None}], "blank": "  ", "text": "Zoë, 北京\n"}
    [row] = read(json.dumps({"effect_scene": "squish", "image": "a.jpg", **columns}), "m.jsonl").rows
    assert {name: row.columns[name] for name in columns} == columns


def test_an_image_in_base64_goes_to_the_request_and_not_to_the_results() -> None:
    raw = "iVBORw0KGgo" + "A" * 200_001
    line = json.dumps({"effect_scene": "hug_pro", "images": [raw, f"data:image/png;base64,{raw}"], "copy": raw})
    [row] = read(line, "m.jsonl").rows
    assert row.images == (raw, f"data:image/png;base64,{raw}")
    size = "base64 image (200,012 characters)"
    assert row.columns["images"] == [size, "image in a data: URI (200,034 characters)"]
    assert row.columns["copy"] == size
    assert "AAAA" not in repr(row) + to_jsonl(next(join([row], [])))
    [row] = read(f"effect_scene,image\nsquish,{raw}\n").rows
    assert row.columns["image"] == size


def test_format_may_be_given_where_the_suffix_does_not_tell() -> None:
    assert read("effect_scene\timage\nsquish\ta.jpg\n", "rows.tsv", format="CSV").rows[0].images == ("a.jpg",)


# --- Bad rows and warnings -------------------------------------------------------------------------------------


def test_good_rows_go_on_past_bad_ones() -> None:
    lines = ["effect_scene,image", "squish,a.jpg", "squish", 'squish,"b"c', "hug_pro,d.jpg", "squish,e.jpg"]
    manifest = read("\n".join(lines))
    assert [row.images for row in manifest.rows] == [("a.jpg",), ("e.jpg",)]
    assert [bad.line for bad in manifest.bad_rows] == [3, 4, 5]
    assert [type(row) for row in manifest.all_rows] == [Row, BadRow, BadRow, BadRow, Row]


def test_one_error_names_all_bad_rows() -> None:
    with pytest.raises(KlingManifestError) as caught:
        read("id,effect_scene,image\na,hug_pro,a.jpg\nb,squish,\nc,squish,c.jpg\n").raise_for_problems()
    assert str(caught.value).splitlines() == [
        "m.csv: 2 problems",
        "  - line 2, id 'a': Scene 'hug_pro' takes two images, the first stands left; found one image.",
        "  - line 3, id 'b': image is empty; wanted is a URL, a path or base64 in image, or two in image_1 and image_2.",
    ]


def test_an_error_shows_fifty_bad_rows_and_keeps_all() -> None:
    with pytest.raises(KlingManifestError) as caught:
        read("effect_scene,image\n" + "hug_pro,a.jpg\n" * 1234).raise_for_problems()
    lines = str(caught.value).splitlines()
    assert lines[0] == "m.csv: 1,234 problems"
    assert len(lines) == 52
    assert lines[-1] == "  - and 1,184 more"
    assert len(caught.value.problems) == 1234


def test_a_manifest_without_bad_rows_raises_nothing() -> None:
    read("effect_scene,image\nsquish,a.jpg\n").raise_for_problems()


def test_an_unknown_scene_is_one_warning_however_many_rows_have_it() -> None:
    manifest = read("effect_scene,image\n" + "pet_loin,a.jpg\n" * 5 + "pet_lion,a.jpg\n" * 5)
    assert len(manifest.rows) == 10
    assert [warning.split(";")[0].split(":")[0] for warning in manifest.warnings] == [
        f"Scene 'pet_loin' is not among the {len(scenes())} known to this version",
        "Scene 'pet_lion' is discontinued",
    ]


def test_strictness_makes_unknown_scenes_problems() -> None:
    manifest = read("effect_scene,image\npet_loin,a.jpg\npet_lion,a.jpg\nsquish,a.jpg\n", strict=True)
    assert [bad.line for bad in manifest.bad_rows] == [2, 3]
    assert manifest.warnings == ()


def test_warnings_come_to_an_end() -> None:
    lines = "".join(f"scene{number},a.jpg\n" for number in range(200))
    assert read("effect_scene,image\n" + lines).warnings[50:] == ("There are more warnings of this kind.",)


@pytest.mark.parametrize(("column", "known"), [("imgae_2", "image_2"), ("Id", "id"), ("image2", "image_2"), ("imagess", "images")])
def test_a_column_that_looks_like_a_known_one_is_a_warning(column: str, known: str) -> None:
    sentence = f"Column {column!r} is carried through to the results unread; did you mean {known!r}?"
    assert read(f"effect_scene,image,{column}\nsquish,a.jpg,x\n").warnings == (sentence,)
    assert read(f'{{"effect_scene":"squish","image":"a","{column}":1}}\n' * 3, "m.jsonl").warnings == (sentence,)


def test_other_columns_are_no_warning() -> None:
    assert read("id,effect_scene,image,title,prompt,customer_id,image_alt\na,squish,a.jpg,,,,\n").warnings == ()


def test_a_row_that_is_none_takes_no_id() -> None:
    manifest = read('7\n{"id":"1","effect_scene":"squish","image":"a.jpg"}\n', "m.jsonl")
    assert [row.id for row in manifest.rows] == ["1"]


# --- Paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "image", "joined"),
    [
        ("/data", "images/a.jpg", "/data/images/a.jpg"),
        ("/data/", "../a.jpg", "/data/../a.jpg"),
        ("", "a.jpg", "a.jpg"),
        ("s3://bucket/in", "images/a.jpg", "s3://bucket/in/images/a.jpg"),
        ("s3://conn@bucket/in/", "./../a.jpg", "s3://conn@bucket/a.jpg"),
        ("s3://bucket/", "../../a.jpg", "s3://bucket/a.jpg"),
        ("s3://bucket//", "a//b #1?.jpg", "s3://bucket//a//b #1?.jpg"),
        ("s3://bucket/in", "scan:1.jpg", "s3://bucket/in/scan:1.jpg"),
        ("/data", "scan:1.jpg", "/data/scan:1.jpg"),
        ("/data", "~draft.jpg", "/data/~draft.jpg"),
        ("/data", "~/a.jpg", "~/a.jpg"),
        ("/data", "C:/a.jpg", "C:/a.jpg"),
        ("file:///data", "a.jpg", "file:///data/a.jpg"),
        ("s3://bucket/in", "/data/a.jpg", "/data/a.jpg"),
        ("s3://bucket/in", "gs://other/a.jpg", "gs://other/a.jpg"),
        ("/data", "https://example.com/a.jpg", "https://example.com/a.jpg"),
        ("/data", "file:/a.jpg", "file:/a.jpg"),
        ("/data", "C:\\a.jpg", "C:\\a.jpg"),
        ("/data", "data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
        ("/data", "iVBORw0KGgo" + "A" * 40, "iVBORw0KGgo" + "A" * 40),
    ],
)
def test_a_relative_path_is_joined_to_the_folder_of_the_manifest(base: str, image: str, joined: str) -> None:
    [row] = read(json.dumps({"effect_scene": "squish", "image": image}), "m.jsonl").rows
    resolved = resolve_images(row, base)
    assert resolved.images == (joined,)
    assert resolved.columns == row.columns


def test_the_demo_manifest_has_exactly_one_bad_row() -> None:
    with (DEMO / "manifest.csv").open("rb") as file:
        manifest = read_rows(file, name="demo/manifest.csv", strict=True)
    assert [bad.id for bad in manifest.bad_rows] == ["hopper-alone-hug"]
    assert len(manifest.rows) >= 14
    assert len({row.effect_scene for row in manifest.rows}) >= 6
    assert all(Path(image).is_file() for row in manifest.rows for image in resolve_images(row, str(DEMO)).images)


# --- Size and noise --------------------------------------------------------------------------------------------


def csv_lines(rows: int) -> Iterator[bytes]:
    yield b"id,effect_scene,image,title\n"
    for number in range(rows):
        yield f'row-{number},squish,images/{number}.jpg,"{"x" * 200}"\n'.encode()


def json_lines(rows: int) -> Iterator[bytes]:
    for number in range(rows):
        yield b'{"id":%d,"effect_scene":"squish","image":"%d.jpg","title":"%s"}\n' % (number, number, b"x" * 200)


@pytest.mark.integration
@pytest.mark.parametrize(("name", "lines"), [("m.csv", csv_lines), ("m.jsonl", json_lines)])
def test_many_rows_need_little_more_memory_than_few(name: str, lines: Callable[[int], Iterator[bytes]]) -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        try:
            assert sum(isinstance(row, Row) for row in parse_rows(lines(rows), name=name)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is loaded once
    # A row here has 250 bytes of text and about 1,500 as objects; what may stay of it is the hash of its id and a line.
    assert (peak(20_000) - peak(1_000)) / 19_000 < 200


FORMATS = ["m.csv", "m.jsonl", "m.json"]
PIECES = st.sampled_from(
    [
        *(
            "effect_scene",
            "image",
            "images",
            "id",
            "squish",
            "hug_pro",
            "a.jpg",
            "null",
            "NaN",
            "1e999",
            "7",
            "\\ud800",
            "é",
            "\u2028",
        ),
        *(",", ";", "\t", "\n", "\r\n", "\r", '"', '""', "|", "[", "]", "{", "}", ":", " ", "\0", "\ufeff", "A" * 300, "["),
    ]
)
NOISE = st.one_of(
    st.binary(max_size=300),
    st.lists(PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode()),
    st.lists(PIECES, max_size=30).map(lambda pieces: ("effect_scene,image,images,id\n" + "".join(pieces)).encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | PIECES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES, inner, max_size=5),
        max_leaves=15,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=NOISE, name=st.sampled_from(FORMATS))
@example(data=b"[" * 200_000, name="m.json")
@example(data=b'{"a":' * 200_000, name="m.jsonl")
@example(data=b"[" + b"9" * 5000 + b"]", name="m.json")
@example(data=b'{"effect_scene":"squish","image":"a","x":' + b"[" * 60 + b"]" * 60 + b"}", name="m.jsonl")
def test_any_bytes_give_rows_or_one_error_of_ours(data: bytes, name: str) -> None:
    try:
        rows = list(parse_rows(io.BytesIO(data), name=name))
    except KlingError as error:
        rows, text = [], str(error)
        assert text.startswith(name)
        assert len(text) < 20_000
    assert len(rows) <= data.count(b"\n") + data.count(b"\r") + data.count(b",") + 1
    for row in rows:
        assert row.id
        assert isinstance(row, BadRow) or 1 <= len(row.images) <= 2
        assert sum(map(len, getattr(row, "problems", ()))) < 5_000
    good = [row.id for row in rows if isinstance(row, Row)]
    assert len(good) == len(set(good))
    for line in join(rows, []):
        text = to_jsonl(line)
        assert len(text.splitlines()) == 1
        assert json.loads(text.encode())["id"] == line["id"]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=20))
def test_what_json_writes_comes_back_untouched(cells: list[str]) -> None:
    lines = [json.dumps({"effect_scene": "squish", "image": "a.jpg", "cell": cell}, ensure_ascii=False) for cell in cells]
    data = "\n".join(lines).encode()
    assert [row.columns["cell"] for row in read(data, "m.jsonl").rows] == cells
