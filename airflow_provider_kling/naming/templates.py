"""The template `file_name`: text with the names of fields in braces. Only names: nothing in it is looked up or evaluated."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Any

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.naming.safe_names import FORBIDDEN, safe_text
from airflow_provider_kling.patterns import pattern
from airflow_provider_kling.values import value

ROW_FIELDS = ("row_id", "effect_scene", "kling_task_id", "external_task_id", "index")
RUN_FIELDS = ("dag_id", "run_id", "task_id", "map_index", "date")
FIELDS = ROW_FIELDS + RUN_FIELDS
SUFFIX = ".mp4"
MOST_FIELDS = 6  # of one name or folder, so that each has room for some letters of its own
MOST_LITERAL = 60  # bytes of one name or folder that are no field
MOST_LISTED = 30  # columns that an error lists
MOST_SHOWN = 60  # characters of each

_TOKEN = pattern(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
# What would be a literal brace here, and is meant for Jinja: `{{ ds }}`, `{{params.x}}`, `{% if … %}`.
_JINJA = pattern(
    r"\{[%#]|\{\{(?:\s|(?:ds|ts|dag|run_id|task|ti|params|var|conn|macros|logical_date|data_interval|map_index)\w*\b|(?:"
    + "|".join(FIELDS)
    + r")\}\})"
)


@value
class Field:
    """The place of a value in a name."""

    name: str


Piece = str | Field


@value
class Template:
    """A template, read: its folders, if it has some, and the name of the file without its suffix, each as pieces."""

    text: str
    parts: tuple[tuple[Piece, ...], ...]

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(piece.name for part in self.parts for piece in part if isinstance(piece, Field))

    @property
    def ends_with_task_id(self) -> bool:
        """Whether the last word of each name is the task's id, so that no other task can have the name."""
        *before, last = self.parts[-1]
        alone = not before or (isinstance(before[-1], str) and not before[-1][-1].isalnum())
        return last == Field("kling_task_id") and alone

    @staticmethod
    @functools.lru_cache(maxsize=256)
    def parse(text: str) -> Template:
        """Raises KlingInputError, which says what is wrong with it."""
        return Template(text, _parts(text))


def check_fields(file_name: Any, *, columns: Collection[str] | None = ()) -> None:
    """Raise KlingInputError for a template that cannot work, or that names a field that is none of these columns either.

    With None, the columns are not known yet.
    """
    if not isinstance(file_name, str):
        wanted = "wanted is a text like '{row_id}-{kling_task_id}.mp4'"
        raise KlingInputError(f"file_name is a {type(file_name).__name__}; {wanted}.")
    template = Template.parse(file_name)
    if columns is None:
        return
    if unknown := sorted(columns_of(file_name) - set(columns)):
        further = [safe_text(name)[:MOST_SHOWN] for name in columns if name not in FIELDS][:MOST_LISTED]
        raise KlingInputError(
            f"file_name {template.text!r} has the unknown field {{{unknown[0]}}}; known are {', '.join(FIELDS)}"
            + (f", and the columns {', '.join(further)}." if further else ", and the further columns of a manifest.")
        )


def columns_of(file_name: str | None) -> frozenset[str]:
    """The columns of the manifest that a template names."""
    return Template.parse(file_name).fields - set(FIELDS) if file_name else frozenset()


def _parts(text: str) -> tuple[tuple[Piece, ...], ...]:
    if _JINJA.search(text):
        raise _wrong(text, "is a template of Jinja, which is not rendered here; wanted are fields in single braces, like {date}")
    if not text.endswith(SUFFIX):
        raise _wrong(text, f"does not end with {SUFFIX}; wanted is a name like '{{row_id}}-{{kling_task_id}}.mp4'")
    parts: list[list[Piece]] = [[]]
    for found in _TOKEN.findall(text.removesuffix(SUFFIX)):
        if len(found) > 1 and found[0] == "{" and found[-1] == "}":
            parts[-1].append(Field(_field_name(text, found)))
        elif found in ("{", "}"):
            raise _wrong(text, f"has a single {found!r}; wanted are fields like {{row_id}}, or two braces for the brace itself")
        else:
            first, *others = (found[0] if found in ("{{", "}}") else found).split("/")
            parts[-1].append(first)
            parts += [[other] for other in others]
    joined = tuple(_joined(part) for part in parts)
    for part in joined:
        _check_part(text, part)
    return joined


def _field_name(text: str, found: str) -> str:
    name = found[1:-1].strip()
    if not name:
        raise _wrong(text, "has an empty pair of braces; wanted is the name of a field in them")
    if sign := re.search(r"[.:!\[\]]", name):
        raise _wrong(text, f"has {found}, with {sign[0]!r}; wanted is the name of a field alone, without a format or an attribute")
    return name


def _joined(part: list[Piece]) -> tuple[Piece, ...]:
    """The pieces, texts that follow each other as one."""
    pieces: list[Piece] = []
    for piece in part:
        if piece == "":
            continue
        if isinstance(piece, str) and pieces and isinstance(last := pieces[-1], str):
            pieces[-1] = last + piece
        else:
            pieces.append(piece)
    return tuple(pieces)


def _check_part(text: str, part: tuple[Piece, ...]) -> None:
    literal = "".join(piece for piece in part if isinstance(piece, str))
    if not part or (len(part) == 1 and not literal.strip(" .-") and literal):
        raise _wrong(text, "has an empty name or folder; wanted is a path below save_to, without '..'")
    if found := FORBIDDEN.search(literal):
        raise _wrong(text, f"has the character {found[0]!r}, which not every file system or store takes in a name")
    if len(literal.encode()) > MOST_LITERAL:
        raise _wrong(text, f"has more than {MOST_LITERAL} bytes of text beside its fields; wanted is a shorter one")
    if sum(isinstance(piece, Field) for piece in part) > MOST_FIELDS:
        raise _wrong(text, f"has more than {MOST_FIELDS} fields in one name; wanted are fewer")


def _wrong(text: str, why: str) -> KlingInputError:
    return KlingInputError(f"file_name {text[:200]!r} {why}.")
