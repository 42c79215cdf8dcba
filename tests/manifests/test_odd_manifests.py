"""Manifests as spreadsheets, editors and `cat` leave them: what cannot be seen in them changes nothing."""

from __future__ import annotations

import io
import json
import re

import pytest

from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.manifests import load_image, read_rows
from airflow_provider_kling.manifests.invisible import invisible_in, strip_invisible

BOM = "\ufeff"
HEAD = "id,effect_scene,image\n"
A, B = "a,squish,a.jpg\n", "b,squish,b.jpg\n"


def read(text: str, name: str = "m.csv") -> tuple[list[tuple[str, int, tuple[str, ...]]], list[str]]:
    """The id, line and images of the good rows, and the problems of the bad ones."""
    manifest = read_rows(io.BytesIO(text.encode()), name=name)
    return [(row.id, row.line, row.images) for row in manifest.rows], [bad.text for bad in manifest.bad_rows]


def refused(text: str) -> str:
    with pytest.raises(KlingManifestError) as caught:
        read(text)
    return str(caught.value).removeprefix("m.csv: ")


# --- The first lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\n\nsep=;\n\n", f"{BOM}sep=;\n"])
def test_excels_first_line_names_the_delimiter(first: str) -> None:
    rows, bad = read(first + "id;effect_scene;image;a, b\na;squish;a.jpg;1\n")
    assert (rows, bad) == ([("a", first.count("\n") + 2, ("a.jpg",))], [])


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_any_usual_delimiter_may_be_named(sign: str) -> None:
    assert read(f"sep={sign}\n" + (HEAD + A).replace(",", sign))[0] == [("a", 3, ("a.jpg",))]


def test_an_unusual_delimiter_is_refused() -> None:
    assert refused("sep=x\n" + HEAD + A) == ("line 1: found sep=x; wanted is a comma, a semicolon, a tab or a vertical bar there.")


@pytest.mark.parametrize(
    ("above", "sentence"),
    [
        ("# made by hand\n", "line 1: this is a comment, and line 2 looks like the header; remove what is above it."),
        (
            "Videos of autumn\n\nOrder 12,of\n",
            "line 1: this is no header, and line 4 looks like the header; remove what is above it.",
        ),
        (";;;\nVideos;;;\n", "line 2: this is no header, and line 3 looks like the header; remove what is above it."),
        ("# id,effect_scene\n", "line 1: this is a comment, and line 2 looks like the header; remove what is above it."),
    ],
)
def test_lines_above_the_header_are_named(above: str, sentence: str) -> None:
    assert refused(above + HEAD + A) == sentence


def test_a_header_that_is_a_comment_is_refused() -> None:
    assert refused("#" + HEAD + A) == "line 1: the header is a comment; remove the '#' at its start."


def test_a_header_over_two_lines_is_one() -> None:
    assert read('"the\ntitle",id,effect_scene,image\nx,' + A)[0] == [("a", 3, ("a.jpg",))]


def test_a_file_without_any_header_is_told_as_before() -> None:
    assert refused("title\n" + A * 20) == (
        "2 problems\n  - line 1: column 'effect_scene' is missing; found title.\n"
        "  - line 1: column 'image' (or image_1 and image_2, or images) is missing; found title."
    )


# --- Files that were joined ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [BOM * 2 + HEAD + A + B, BOM + HEAD + A + BOM + B, HEAD + A + f'{BOM}"b",squish,b.jpg\n'])
def test_byte_order_marks_are_no_part_of_a_row(text: str) -> None:
    assert read(text) == ([("a", 2, ("a.jpg",)), ("b", 3, ("b.jpg",))], [])


def test_byte_order_marks_are_no_part_of_json_either() -> None:
    lines = ['{"id":"a","effect_scene":"squish","image":"a.jpg"}\n', '{"id":"b","effect_scene":"squish","image":"b.jpg"}\n']
    assert [row[0] for row in read(BOM * 2 + BOM.join(lines), "m.jsonl")[0]] == ["a", "b"]
    assert [row[0] for row in read(f"{BOM * 2}[{','.join(lines)}]", "m.json")[0]] == ["a", "b"]


def test_a_header_in_the_middle_is_no_row() -> None:
    rows, bad = read(HEAD + A + BOM + HEAD + B)
    assert [row[0] for row in rows] == ["a", "b"]
    assert bad == ["line 3, row 2: It is the header once more; were two files joined? Remove the line."]


# --- Invisible characters --------------------------------------------------------------------------------------

INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", BOM, "\u202a", "\u202c", "\u200e", "\u2066", "\xad", "\u180e"]


@pytest.mark.parametrize("sign", INVISIBLE, ids=ascii)
def test_they_are_no_part_of_a_value_at_its_ends(sign: str) -> None:
    row = "a,squish,https://e.com/a.jpg"
    for text in (HEAD + row, HEAD + ",".join(f"{sign} {cell}{sign}" for cell in row.split(","))):
        assert read(text) == ([("a", 2, ("https://e.com/a.jpg",))], [])
    assert read(",".join(f"{sign}{name}{sign}" for name in HEAD.strip().split(",")) + "\n" + A)[0] == [("a", 2, ("a.jpg",))]
    assert load_image(f"{sign}https://e.com/a.jpg{sign}") == "https://e.com/a.jpg"
    assert "id 'a' is taken already by line 2" in read(HEAD + A + A.replace("a,", f"a{sign},"))[1][0]


@pytest.mark.parametrize("sign", INVISIBLE, ids=ascii)
@pytest.mark.parametrize(("cell", "column"), [("ab", "id"), ("squish", "effect_scene"), ("a.jpg", "image")])
def test_they_are_refused_inside(sign: str, cell: str, column: str) -> None:
    row = "ab,squish,a.jpg\n"
    rows, [bad] = read(HEAD + row.replace(cell, f"{cell[0]}{sign}{cell[1:]}"))
    assert not rows
    assert f"{column} has an invisible character inside, U+{ord(sign):04X} " in bad
    with pytest.raises(KlingInputError, match=f"it has an invisible character inside, U\\+{ord(sign):04X}"):
        load_image(f"https://e.com/a{sign}.jpg")


@pytest.mark.parametrize("sign", INVISIBLE, ids=ascii)
@pytest.mark.parametrize("name", ["id", "effect_scene", "image", "title"])
def test_they_are_refused_in_the_name_of_a_column(sign: str, name: str) -> None:
    """Otherwise the ids of a column `id` are lost, and rows get their numbers."""
    odd = name[:1] + sign + name[1:]
    what = f"Column {odd!r} has an invisible character in its name, U+{ord(sign):04X}"
    values = {"id": "a", "effect_scene": "squish", "image": "a.jpg", "title": "A"}
    head = ",".join(odd if known == name else known for known in values)
    with pytest.raises(KlingManifestError, match=re.escape(what)):
        read(f"{head}\n{','.join(values.values())}\n")
    values = {odd if known == name else known: value for known, value in values.items()}
    bad = read_rows([json.dumps(values).encode()], name="m.jsonl").bad_rows
    assert any(problem.startswith(what) for problem in bad[0].problems)


def test_at_the_end_of_a_key_they_are_refused_too() -> None:
    line = json.dumps({f"id{BOM}": "a", "effect_scene": "squish", "image": "a.jpg"}).encode()
    assert "has an invisible character in its name, U+FEFF" in read_rows([line], name="m.jsonl").bad_rows[0].problems[0]


@pytest.mark.parametrize("sign", ["\U000e0041", "\U000e0001", "\ufe0f", "\U000e0100", "\u180b", "\U0001d173"], ids=ascii)
@pytest.mark.parametrize("text", ["a{}b", "a{}", "{}a"])
def test_what_belongs_to_the_character_before_it_is_refused_where_there_is_none(sign: str, text: str) -> None:
    assert invisible_in(text.format(sign)).startswith(f"U+{ord(sign):04X}")


SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    "text", [SCOTLAND, f"a{SCOTLAND}b", "\u2764\ufe0f.jpg", "a\u2764\ufe0f", "1\ufe0f\u20e3", "\u845b\U000e0100"], ids=ascii
)
def test_flags_keycaps_and_variants_stay_whole(text: str) -> None:
    assert (invisible_in(text), strip_invisible(text)) == ("", text)


@pytest.mark.parametrize("text", ["می‌روم", "क्‍ष", "👨‍👩‍👧", "Zoë", "北京", "a b", ""])
def test_a_joiner_within_a_word_or_an_emoji_belongs_there(text: str) -> None:
    assert (strip_invisible(text), invisible_in(text)) == (text, "")


def test_a_long_blank_text_costs_no_time() -> None:
    assert strip_invisible(" " * 3_000_000 + "a" + "\u200b" * 3_000_000 + "b")[-1] == "b"


# --- Names of manifests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "s3://bucket/m#1.csv",
        "s3://bucket/batch #3/m.csv",
        "s3://bucket/why?.csv",
        "s3://bucket/what?/m.csv",
        "s3://bucket/a?b=c.json/m.csv",
        "s3://bucket/m.csv?versionId=a.b",
        "file:///data/why?.csv",
        "why?#.csv",
        "https://host/m.csv?key=a.json#b",
    ],
)
def test_a_key_is_no_url(name: str) -> None:
    assert [row[0] for row in read(HEAD + A, name)[0]] == ["a"]
