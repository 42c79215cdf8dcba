"""What is checked of each row of a manifest: its id, scene, images and further columns. No image is read."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_kling.api import EffectRequest, scenes
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.manifests.columns import IMAGE_COLUMNS, MAX_SCENE, check_names, did_you_mean, json_kind
from airflow_provider_kling.manifests.invisible import invisible_in, strip_invisible
from airflow_provider_kling.manifests.leftovers import request_of, split_reasons
from airflow_provider_kling.manifests.records import Record
from airflow_provider_kling.manifests.rows import BadRow, Row
from airflow_provider_kling.redaction import holds_image, is_inline, show_place

MAX_ID = 200  # characters
MAX_DEPTH = 50  # levels of lists and objects in a JSON column
MAX_WARNINGS = 50
MAX_IMAGE_PROBLEMS = 3  # of one row

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # and halves of surrogate pairs, which are no UTF-8
_NOT_IN_BASE64 = re.compile("[\0\ud800-\udfff]")  # unlike _CONTROL without line ends, which base64 may have
_SOME_URL = "https://example.com/image.jpg"  # stands for any image where only their number counts

Warn = Callable[[str], object]


class RowChecker:
    """Turns records into rows. Remembers ids as 64-bit hashes, and which warnings it gave.

    `strict` makes warnings about scenes problems; `warn` is called with each other warning once, and with at most 50.
    """

    def __init__(self, *, strict: bool, warn: Warn | None) -> None:
        self.count = 0
        self._strict = strict
        self._warn = warn or (lambda _: None)
        self._warned: set[str] = set()
        self._lines: dict[int, int] = {}  # hash of an id → the line that has it; negative where it is the row's number

    def check(self, record: Record) -> Row | BadRow:
        """The next record as a row."""
        self.count += 1
        columns, left_task, request = split_reasons(record.columns)
        problems = [*record.problems]
        row_id = self._check_id(columns.pop("id", None), record.line, problems)
        scene = ""
        images: tuple[str, ...] = ()
        kind = "request"
        if not record.problems:
            name_problems, warnings = check_names(("id", *columns) if "id" in record.columns else tuple(columns))
            problems += name_problems
            self._warn_once(warnings)
            of_row = len(problems)
            images = _check_images(columns, problems)
            of_images = len(problems) - of_row
            scene = self._check_scene(columns, len(images), problems)
            kind = "request" if of_row else _kind_of(scene, len(images), of_images=of_images, of_scene=len(problems) - of_images)
        try:
            shown = {name: _without_images(value, source=name in IMAGE_COLUMNS) for name, value in columns.items()}
        except ValueError as error:
            problems, shown = [*problems, str(error)], {}
        if problems:
            return BadRow(
                line=record.line, number=self.count, id=row_id, columns=shown, problems=tuple(problems), kind=kind, images=images
            )
        left_task = left_task if left_task and request == request_of(scene, images) else None
        row: dict[str, Any] = {"line": record.line, "number": self.count, "id": row_id, "columns": shown}
        return Row(**row, effect_scene=scene, images=images, left_task=left_task)

    def _check_id(self, value: Any, line: int, problems: list[str]) -> str:
        """The id of the row: the number of the row, where it has no id or a wrong one."""
        number = str(self.count)
        infinite = isinstance(value, float) and not math.isfinite(value)
        if infinite or isinstance(value, bool) or not isinstance(value, str | int | float | None):
            problems.append(f"id is {json_kind(value)}; wanted is a text.")
            return number
        text = "" if value is None else strip_invisible(str(value))
        if wrong := _why_no_id(text):
            problems.append(wrong)
            return number
        if problems and not text:  # a record that is no row does not reserve its number as an id
            return number
        key = hash(text or number)
        if key in self._lines:
            problems.append(_duplicate_id(text, number, self._lines[key]))
        else:
            self._lines[key] = line if text else -line
        return text or number

    def _check_scene(self, columns: Mapping[str, Any], images: int, problems: list[str]) -> str:
        """The scene of a row with so many images; empty where it is no name of a scene."""
        value = columns.get("effect_scene")
        if value is None or (isinstance(value, str) and not strip_invisible(value)):
            near = "" if "effect_scene" in columns else did_you_mean("effect_scene", columns)
            problems.append(f"effect_scene is empty; wanted is the name of a scene, like 'pet_lion_pro'.{near}")
            return ""
        if not isinstance(value, str) or len(value) > MAX_SCENE or _CONTROL.search(strip_invisible(value)):
            found = (
                json_kind(value)
                if not isinstance(value, str)
                else f"a text of {len(value):,} characters, or with control characters"
            )
            problems.append(f"effect_scene is {found}; wanted is the name of a scene, like 'pet_lion_pro'.")
            return ""
        scene = strip_invisible(value)
        if wrong := _invisible("effect_scene", scene):
            problems.append(wrong)
            return ""
        problem, warnings = _check_request(scene, images)
        if problem:
            problems.append(problem)
        elif self._strict:
            problems += warnings
        else:
            self._warn_once(warnings)
        return scene

    def _warn_once(self, warnings: Sequence[str]) -> None:
        for text in warnings:
            if text not in self._warned and len(self._warned) <= MAX_WARNINGS:
                self._warned.add(text)
                self._warn(text if len(self._warned) <= MAX_WARNINGS else "There are more warnings of this kind.")


def _why_no_id(text: str) -> str:
    if len(text) > MAX_ID or _CONTROL.search(text):
        found = f"has {len(text):,} characters" if len(text) > MAX_ID else f"{text!r} has control characters"
        return f"id {found}; wanted are at most {MAX_ID} printable ones."
    return _invisible("id", text)


def _invisible(name: str, text: str) -> str:
    """What to report of a value that is not what it looks like."""
    if text.isascii() or not (sign := invisible_in(text)):
        return ""
    return f"{name} has an invisible character inside, {sign}; wanted is a value without it: type it anew."


def _duplicate_id(text: str, number: str, first: int) -> str:
    if not text:
        return f"It has no id, and its number {number} is the id of line {abs(first)}; give it one."
    owner = f"by line {first}" if first > 0 else f"as its number by line {-first}, which has no id"
    return f"id {text!r} is taken already {owner}; wanted is one of its own."


@functools.lru_cache(maxsize=1024)
def _check_request(scene: str, images: int) -> tuple[str, tuple[str, ...]]:
    """What is wrong with a request for this scene and so many images, and warnings. For no image (0), only the warnings."""
    known = scenes().get(scene)
    try:
        request = EffectRequest(scene, (_SOME_URL,) * (images or (known.images if known else 1)))
    except KlingInputError as error:
        return str(error), ()
    return "", tuple(request.check_scene())


def _kind_of(scene: str, images: int, *, of_images: int, of_scene: int) -> str:
    """What the problems with images and scene of a row are about; `request` for those with both, or with their number."""
    if (of_images and of_scene) or (scene and images and _check_request(scene, images)[0]):
        return "request"
    return "image" if of_images else "scene" if of_scene else "request"


def sources_of(columns: Mapping[str, Any]) -> tuple[str, ...]:
    """The images that the columns of a row name, as they are written; none where it is not clear which these are."""
    return _check_images(columns, [])


def _check_images(columns: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    """The sources of the images of a row; an empty tuple where there are problems."""
    filled = {name: columns[name] for name in IMAGE_COLUMNS if not _is_empty(columns.get(name))}
    if not filled:
        near = "" if any(name in columns for name in IMAGE_COLUMNS) else did_you_mean("image", columns)
        problems.append(f"image is empty; wanted is a URL, a path or base64 in image, or two in image_1 and image_2.{near}")
        return ()
    if len(filled) > 1 and set(filled) != {"image_1", "image_2"}:
        problems.append(f"{' and '.join(list(filled)[:2])} are both filled; wanted is image, or image_1 and image_2, or images.")
        return ()
    if set(filled) == {"image_2"}:
        problems.append("image_2 is filled, but image_1 is empty; wanted is the left image in image_1, or one image in image.")
        return ()
    values = _list_items(filled["images"]) if "images" in filled else filled
    if values is None:
        problems.append(
            f'images is {json_kind(filled["images"])}; wanted is a list, like ["left.jpg", "right.jpg"] or left.jpg|right.jpg.'
        )
        return ()
    wrong = [problem for name, value in values.items() if (problem := _image_problem(name, value))][:MAX_IMAGE_PROBLEMS]
    problems += wrong
    return () if wrong else tuple(map(strip_invisible, values.values()))


def _image_problem(name: str, value: Any) -> str:
    if not isinstance(value, str):
        return f"{name} is {json_kind(value)}; wanted is a URL, a path or base64 as text."
    value = strip_invisible(value)
    if not value:
        return f"{name} is empty; wanted is a URL, a path or base64."
    if (_NOT_IN_BASE64 if is_inline(value) else _CONTROL).search(value):
        return f"{name} has control characters; wanted is a URL, a path or base64."
    return _invisible(name, value)


def _list_items(value: Any) -> dict[str, Any] | None:
    """The items of `images` by their names in errors (`images[0]`); None for what is no list."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.lstrip().startswith("[") else value.split("|")
        except (ValueError, RecursionError):
            return None
    return {f"images[{index}]": item for index, item in enumerate(value)} if isinstance(value, list) else None


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not strip_invisible(value))


def _without_images(value: Any, *, source: bool, depth: int = 0) -> Any:
    """A column as it goes to the results: untouched, but for images written as base64. ValueError for what no JSON can hold."""
    if isinstance(value, str):
        return show_place(value) if (is_inline(value) if source else holds_image(value)) else value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("A column holds a number too large for JSON; wanted is a finite one, or a text.")
    if isinstance(value, list | dict):
        if depth == MAX_DEPTH:
            raise ValueError(f"A column is nested more than {MAX_DEPTH} levels deep; wanted are plain values.")
        if isinstance(value, list):
            return [_without_images(item, source=source, depth=depth + 1) for item in value]
        return {name: _without_images(item, source=source, depth=depth + 1) for name, item in value.items()}
    return value
