"""Names of videos: templates, characters, lengths, and names that are unique in a manifest."""

from __future__ import annotations

import tracemalloc
import unicodedata

import pytest
from examples import examples
from hypothesis import example, given, settings, strategies as st

from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.naming import MOST_BYTES, NameCheck, SaveAs, check_fields

ID, OTHER_ID = "831922345719271433", "831922345719271434"
RESERVED = {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
VALUES = st.one_of(st.none(), st.text(max_size=300), st.integers(), st.booleans(), st.lists(st.text(max_size=5), max_size=3))
TEMPLATES = [
    "{row_id}-{kling_task_id}.mp4",
    "{title}_{row_id}-{effect_scene}-{kling_task_id}.mp4",
    "{kling_task_id}.mp4",
    "{row_id}/{title}.mp4",
    "{date}/{title}-{title}-{row_id}-{effect_scene}-{external_task_id}-{kling_task_id}.mp4",
]


def name(template, fields, kling_task_id=ID, **which):
    return SaveAs(file_name=template, fields=fields).video(kling_task_id, "mine", **which).name


def assert_safe(path: str) -> None:
    for part in path.split("/"):
        assert 0 < len(part.encode()) <= MOST_BYTES
        assert part[0] not in ".- ~"
        assert part[-1] not in ". "
        assert not set(part) & set('\\:*?"<>|#%')
        assert all(unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in part)
        assert unicodedata.is_normalized("NFC", part)
        assert part.partition(".")[0].upper() not in RESERVED
    assert path.endswith(".mp4")


@settings(max_examples=examples(50))
@given(st.sampled_from(TEMPLATES), VALUES, VALUES, st.integers(1, 12), st.booleans())
@example(TEMPLATES[1], "../../etc/passwd", "\u202egpj.exe", 1, False)
@example(TEMPLATES[3], "CON", "nul", 1, False)
@example(TEMPLATES[3], "..", ".", 2, True)
@example(TEMPLATES[4], "ä" * 300, "e\u0301" * 200, 12, True)
def test_any_values_give_a_safe_name_that_is_the_same_each_time(template, row_id, title, count, watermark):
    fields = {"row_id": row_id, "title": title, "effect_scene": "squish", "date": "2026-01-01"}
    video = SaveAs(file_name=template, fields=fields).video(ID, "mine", index=count - 1, count=count, watermark=watermark)
    for one in (video.name, video.with_id):
        assert_safe(one)
        assert one.count("/") == template.count("/")
    assert video == SaveAs(file_name=template, fields=fields).video(ID, "mine", index=count - 1, count=count, watermark=watermark)
    assert ID in video.with_id


@given(st.sampled_from(TEMPLATES), VALUES, VALUES, VALUES, VALUES)
@example(TEMPLATES[0], "a/b", None, "a:b", None)
def test_where_a_name_proves_its_task_no_other_task_has_it(template, row_id, title, other_row_id, other_title):
    one = SaveAs(file_name=template, fields={"row_id": row_id, "title": title}).video(ID)
    other = SaveAs(file_name=template, fields={"row_id": other_row_id, "title": other_title}).video(OTHER_ID)
    assert one.proves == ("{kling_task_id}" in template)
    if one.proves:
        assert one.name.casefold() != other.name.casefold()
    assert one.with_id != other.with_id
    assert one.identity != other.identity


@pytest.mark.parametrize(
    "template",
    ["{kling_task_id}-{row_id}.mp4", "{row_id}{kling_task_id}.mp4", "a{kling_task_id}.mp4", "{kling_task_id}/{row_id}.mp4"],
)
def test_a_name_that_could_be_read_in_two_ways_proves_nothing(template):
    assert not SaveAs(file_name=template, fields={"row_id": "1"}).video(ID).proves


def test_an_odd_id_proves_nothing():
    assert not SaveAs(fields={"row_id": "r"}).video("1").proves
    assert not SaveAs(fields={"row_id": "r"}).video("watermark").proves


def test_the_default_has_the_row_id_if_there_is_one():
    assert name(None, {"row_id": "anna"}) == f"anna-{ID}.mp4"
    assert name(None, {"row_id": None}) == f"{ID}.mp4"
    assert SaveAs(fields={"row_id": "anna"}).video(ID).earlier == f"{ID}.mp4"
    assert SaveAs(fields={"row_id": "anna"}).video(ID, index=1, count=2).earlier == f"{ID}_2.mp4"


def test_several_videos_are_numbered():
    assert [name("{row_id}.mp4", {"row_id": "a"}, index=index, count=2) for index in (0, 1)] == ["a-1.mp4", "a-2.mp4"]
    assert [name("{row_id}.{index}.mp4", {"row_id": "a"}, index=index, count=2) for index in (0, 1)] == ["a.1.mp4", "a.2.mp4"]
    assert name("{row_id}.mp4", {"row_id": "a"}, index=1, count=2, watermark=True) == "a-2-watermark.mp4"


def test_long_values_are_cut_and_stay_distinct():
    one, other = (name("{title}-{row_id}-{kling_task_id}.mp4", {"title": "x" * 500 + end, "row_id": "r1"}) for end in "ab")
    assert one != other
    assert len(one.encode()) <= 200
    assert one.endswith(f"-r1-{ID}.mp4")


def test_a_brace_is_written_as_two_and_a_slash_makes_a_folder():
    assert name("{{x}}{date}/{row_id}.mp4", {"date": "2026-01-01", "row_id": "a/b"}) == "{x}2026-01-01/a_b.mp4"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{row_id}", "does not end with .mp4"),
        ("{row_id}.mov", "does not end with .mp4"),
        ("{row_id.mp4", "has a single '{'"),
        ("row_id}.mp4", "has a single '}'"),
        ("{}.mp4", "empty pair of braces"),
        ("{row_id:>10}.mp4", "without a format or an attribute"),
        ("{row_id.__class__}.mp4", "without a format or an attribute"),
        ("{row_id!r}.mp4", "without a format or an attribute"),
        ("{row_id[0]}.mp4", "without a format or an attribute"),
        ("{{ ds }}-{row_id}.mp4", "is a template of Jinja"),
        ("{{ds}}-{row_id}.mp4", "is a template of Jinja"),
        ("{{row_id}}.mp4", "is a template of Jinja"),
        ("{% if x %}.mp4", "is a template of Jinja"),
        ("/{row_id}.mp4", "empty name or folder"),
        ("../{row_id}.mp4", "empty name or folder"),
        ("a//{row_id}.mp4", "empty name or folder"),
        (".mp4", "empty name or folder"),
        ("a:{row_id}.mp4", "the character ':'"),
        ("a\\{row_id}.mp4", "the character '\\\\\\\\'"),
        ("x" * 61 + "{row_id}.mp4", "more than 60 bytes"),
        ("{a}{b}{c}{d}{e}{f}{g}.mp4", "more than 6 fields"),
        ("{row_idd}.mp4", r"unknown field \{row_idd\}; known are row_id, effect_scene, kling_task_id"),
        (7, "is a int"),
    ],
)
def test_a_template_that_cannot_work_is_an_error_in_one_sentence(template, sentence):
    with pytest.raises(KlingInputError, match=sentence) as caught:
        check_fields(template, columns=())
    assert "\n" not in str(caught.value)


def check(template, *rows):
    names = NameCheck(SaveAs(file_name=template, fields={"date": "2026-01-01"}))
    for line, (row_id, columns) in enumerate(rows, 2):
        names.see(place=f"line {line}, id {row_id!r}", line=line, row_id=row_id, effect_scene="squish", columns=columns)
    names.check("m.csv")
    return names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "cat"),
        ("cat", "Cat"),
        ("straße", "STRASSE"),
        ("a/b", "a:b"),
        ("\u00e9", "e\u0301"),
        ("a", "a."),
        ("-a", "a"),
        ("a", "a "),
    ],
)
def test_rows_whose_videos_would_have_one_name_are_named(one, other):
    with pytest.raises(KlingManifestError, match=r"line 3, id 'r2': its video would have the name of that of line 2.*\{row_id\}"):
        check("{title}.mp4", ("r1", {"title": one}), ("r2", {"title": other}))
    check("{title}-{row_id}.mp4", ("r1", {"title": one}), ("r2", {"title": other}))
    check("{title}-{kling_task_id}.mp4", ("r1", {"title": one}), ("r2", {"title": other}))
    check(None, ("r1", {"title": one}), ("r2", {"title": other}))


def test_a_column_that_no_row_has_is_an_error_with_those_that_there_are():
    with pytest.raises(KlingInputError, match=r"unknown field \{titel\}.*the columns title"):
        check("{titel}-{row_id}.mp4", ("r1", {"title": "a"}))
    check("{title}-{row_id}.mp4", ("r1", {}), ("r2", {"title": "a"}))


def test_the_date_is_that_of_the_run_though_a_column_has_its_name():
    names = check("{date}-{row_id}.mp4", ("r1", {"date": "1999"}))
    assert names.shadowed == ["date"]
    with pytest.raises(KlingManifestError):
        check("{date}.mp4", ("r1", {"date": "1999"}), ("r2", {"date": "2000"}))


def test_many_rows_need_little_memory():
    names = NameCheck(SaveAs(file_name="{title}.mp4"))
    tracemalloc.start()
    for number in range(10_000):
        title = f"a title that is rather long, as titles of videos are, of row {number}"
        names.see(place="", line=number, row_id="", effect_scene="squish", columns={"title": title})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000  # 20 MB for 100,000 rows
    names.check("m.csv")
