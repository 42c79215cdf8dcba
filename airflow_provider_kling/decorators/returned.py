"""What a decorated function returned, checked: a request or a list of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.arguments import check_text, places_text
from airflow_provider_kling.errors import KlingInputError

FOR_ONE = ("external_task_id", "callback_url", "fresh", "save_to")  # a list of requests has no place for them
KEYS = ("effect_scene", "image", "images", "row_id", "columns", *FOR_ONE)
WANTED = "wanted is a request, a dict like {'effect_scene': 'pet_lion_pro', 'image': url}, or a list of them"
_TEXTS = ("effect_scene", "external_task_id", "callback_url", "fresh")


def requests_in(value: Any, *, function: str) -> dict[str, Any] | list[dict[str, Any]]:
    """The request, or the list of requests, in what a function returned: without what is None, with paths as texts.

    Raises KlingInputError, with the function's name, for anything else.
    """
    if value is None:
        raise KlingInputError(f"{function}() returned nothing; {WANTED}. To make no video, raise AirflowSkipException.")
    if isinstance(value, Mapping):
        return _checked(value, f"What {function}() returned")
    if not isinstance(value, list | tuple):
        raise KlingInputError(f"{function}() returned a {type(value).__name__}; {WANTED}.")
    for number, one in enumerate(value, 1):
        if not isinstance(one, Mapping):
            raise KlingInputError(f"{function}() returned a list whose item {number} is a {type(one).__name__}; {WANTED}.")
    return [_of_list(one, f"Request {number} that {function}() returned") for number, one in enumerate(value, 1)]


def _of_list(request: Mapping[str, Any], what: str) -> dict[str, Any]:
    """One request of several."""
    checked = _checked(request, what)
    if given := next((name for name in FOR_ONE if name in checked), None):
        hint = " Give it to the decorator." if given in ("fresh", "save_to") else ""
        raise KlingInputError(f"{what} has {given}, which is for a single request.{hint}")
    return checked


def _checked(request: Mapping[str, Any], what: str) -> dict[str, Any]:
    for name in request:
        if name not in KEYS:
            import difflib  # only where a name is not known

            near = difflib.get_close_matches(str(name), KEYS, n=1)
            raise KlingInputError(
                f"{what} has {str(name)[:40]!r}; wanted are {', '.join(KEYS[:-1])} and {KEYS[-1]}."
                + (
                    f" Did you mean {near[0]!r}?"
                    if near
                    else " What else a file name or the results are to have belongs into columns."
                )
            )
    known = {name: value for name, value in request.items() if value is not None}
    try:
        return {name: _value(name, value) for name, value in known.items()}
    except KlingInputError as error:
        raise KlingInputError(f"{what}: {error}") from None


def _value(name: str, value: Any) -> Any:
    if name in _TEXTS:
        check_text(name, value, wanted="text", operator="")
    elif name == "row_id":
        value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        check_text(name, value, wanted="an id as text", operator="")
    elif name in ("image", "images", "save_to"):
        return places_text(value)  # what is wrong with them, the operator says
    elif name == "columns":
        return _columns(value)
    return value


def _columns(columns: Any) -> dict[str, Any]:
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns):
        raise KlingInputError(f"columns is a {type(columns).__name__}; wanted is a dict of names and values.")
    try:
        return dict(json.loads(json.dumps(dict(columns), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise KlingInputError(f"columns cannot be JSON ({error}); wanted are texts, numbers, true, false and null.") from None


def as_record(request: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The request as a record of a manifest. `defaults`: the scene and images of the decorator, for a request without them."""
    columns = request.get("columns", {})
    taken = {"id", "effect_scene", "image", "images", "image_1", "image_2"}
    if clash := sorted(columns.keys() & taken):
        raise KlingInputError(f"columns has {clash[0]!r}, which a request has itself; give that column another name.")
    if "image" not in request and "images" not in request:
        request = {**{name: defaults[name] for name in ("image", "images") if defaults.get(name)}, **request}
    scene = request.get("effect_scene") or defaults.get("effect_scene")
    images = {name: _absolute(request[name]) for name in ("image", "images") if name in request}
    row_id = {"id": request["row_id"]} if "row_id" in request else {}
    return {**row_id, **({"effect_scene": scene} if scene else {}), **images, **columns}


def _absolute(places: Any) -> Any:
    """Paths as seen from the working directory: in a manifest they would count from its folder."""
    from airflow_provider_kling.redaction import is_inline

    if isinstance(places, list | tuple):
        return [_absolute(place) for place in places]
    if not isinstance(places, str) or "://" in places or is_inline(places):
        return places
    return os.path.abspath(os.path.expanduser(places))
