"""Arguments as Airflow's users write them: paths of any kind, templates, XComArgs, and what these render to.

May import `errors`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_kling.errors import KlingInputError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath, XComArg
    from airflow.sdk.definitions.param import DagParam

    Later: TypeAlias = XComArg | DagParam
    """What Airflow resolves when the task runs: `other_task()`, `create.output`, `dag.param(…)`."""
    Place: TypeAlias = str | os.PathLike[str] | ObjectStoragePath
    """A path or URI."""

MARKS = ("{{", "{%", "{#")  # of a template
NO_VALUE = (
    "the task before left no value. Was it marked as success by hand, or is do_xcom_push off? Clear it, then this task. "
    "A param or Variable may be empty, too."
)
IMAGE = "one image: a URL, a path, or base64 as text"
IMAGES = "a list of two images"
LIKE_A_LIST = "a text that looks like a list: set render_template_as_native_obj=True in the DAG, or pass a list"


def place_text(place: Any) -> Any:
    """A path as text: that of an `os.PathLike` or an ObjectStoragePath, a URI for an object store. Anything else as it is.

    Raises KlingInputError for an ObjectStoragePath with storage options, which a text cannot hold.
    """
    # On Airflow 3.1, an ObjectStoragePath is an `os.PathLike`, too.
    if not all(hasattr(place, name) for name in ("protocol", "path", "storage_options")):
        return os.fsdecode(place) if isinstance(place, os.PathLike) else place
    if options := [name for name, value in (place.storage_options or {}).items() if name != "conn_id" and value is not None]:
        raise KlingInputError(
            f"An ObjectStoragePath has the storage options {', '.join(options)}; wanted is one without: "
            "put them into the extra of its connection, and name that, like s3://conn_id@bucket/folder."
        )
    return str(place.path) if place.protocol in ("file", "local", "") else str(place)


def places_text(places: Any) -> Any:
    """A path, or a list of them, as text."""
    return list(map(place_text, places)) if isinstance(places, list | tuple) else place_text(places)


def is_later(value: Any) -> bool:
    """Whether Airflow resolves this value when the task runs: an XComArg, or what is like one."""
    return hasattr(value, "iter_references") and hasattr(value, "resolve")


def is_known(value: Any) -> bool:
    """Whether a value is final when the DAG is parsed: no template, no XComArg, and nothing that holds one."""
    if isinstance(value, str):
        return not any(mark in value for mark in MARKS)
    if isinstance(value, Mapping):
        return all(map(is_known, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_known, value))
    return not is_later(value)


def check_text(name: str, value: Any, *, wanted: str, operator: str, rendered: bool = False) -> None:
    """Raise KlingInputError, which says what really happened, unless a value is a text that is not empty.

    With `rendered`, the value came out of a template or an XCom. `operator` is the class that the author could map.
    """
    if is_blank(value, rendered=rendered):
        what = f"rendered to {value!r}: {NO_VALUE}" if rendered else f"is {value!r}; wanted is {wanted}."
        raise KlingInputError(f"{name} {what}")
    if is_output_of_mapped(value):
        raise KlingInputError(
            f"{name}: this is the output of a mapped task: use `{operator}.partial(…).expand({name}=…)`, one task for each value."
        )
    if isinstance(value, str) and rendered and looks_like_list(value):
        raise KlingInputError(f"{name} rendered to {LIKE_A_LIST}; wanted is {wanted}.")
    if not isinstance(value, str):
        raise KlingInputError(f"{name} is a {type(value).__name__}; wanted is {wanted}.")


def check_rendered_value(name: str, value: Any) -> None:
    """Raise KlingInputError for an optional argument that came out of a template or an XCom as None, alone or in a list.

    An empty text is a value: `{{ params.fresh or "" }}` leaves the argument out.
    """
    for one in value if isinstance(value, list | tuple) else [value]:
        if one is None or (isinstance(one, str) and one.strip() == "None"):
            raise KlingInputError(f"{name} rendered to {value!r}: {NO_VALUE}")


def check_images(image: Any, images: Any, rendered: frozenset[str] = frozenset()) -> None:
    """Raise KlingInputError unless there is one image, or a list of images. `rendered`: the arguments that were not known."""
    if is_blank(image, rendered=False) and _is_empty(images):
        if rendered:
            name = "image" if "image" in rendered else "images"
            raise KlingInputError(f"{name} rendered to {image if name == 'image' else images!r}: {NO_VALUE}")
        raise KlingInputError(f"There is no image; wanted is image with {IMAGE}, or images with {IMAGES}.")
    if image and not _is_empty(images):
        raise KlingInputError("Both image and images are given; wanted is image for one, images for two.")
    if _is_empty(images):
        if isinstance(image, list | tuple | set | frozenset):
            raise KlingInputError(f"image is a {type(image).__name__}; wanted is {IMAGE}. Two images are a list in images.")
        check_text("image", image, wanted=IMAGE, operator="KlingEffectOperator", rendered="image" in rendered)
        return
    if isinstance(images, str):
        if "images" in rendered and looks_like_list(images):
            raise KlingInputError(f"images rendered to {LIKE_A_LIST}; wanted is {IMAGES}.")
        if is_blank(images, rendered="images" in rendered):
            raise KlingInputError(f"images rendered to {images!r}: {NO_VALUE}")
        raise KlingInputError(f"images is a text; wanted is {IMAGES}.")
    if not isinstance(images, Sequence):
        raise KlingInputError(f"images is a {type(images).__name__}; wanted is {IMAGES}.")
    for number, one in enumerate(images):
        check_text(f"images[{number}]", one, wanted=IMAGE, operator="KlingEffectOperator", rendered="images" in rendered)


def conn_ids(given: str | Iterable[str]) -> list[str]:
    """The connection ids of a list, or of a text that separates them with commas. KlingInputError if there are none."""
    parts = given.split(",") if isinstance(given, str) else list(given or ())
    ids = [part.strip() if isinstance(part, str) else "" for part in parts]
    if not ids or not all(ids):
        raise KlingInputError(f"kling_conn_id is {given!r}; wanted is the id of a connection, or a list of ids.")
    return list(dict.fromkeys(ids))


def is_blank(value: Any, *, rendered: bool) -> bool:
    """Whether it is no value: None, or an empty text. Airflow renders None to the text 'None'."""
    return value is None or (isinstance(value, str) and (not value.strip() or (rendered and value.strip() == "None")))


def looks_like_list(text: str) -> bool:
    """Whether a text is a list in writing, as Airflow renders one without native objects."""
    text = text.strip()
    return text.startswith("[") and text.endswith("]")


def is_output_of_mapped(value: Any) -> bool:
    """Whether it is what all instances of a mapped task left, or that as a text."""
    if isinstance(value, str):
        return value.lstrip().startswith(("LazyXComSequence(", "LazySelectSequence(", "<LazySelectSequence", "<LazyXComSequence"))
    return isinstance(value, Sequence) and type(value).__name__.startswith("Lazy")


def _is_empty(images: Any) -> bool:
    return images is None or (isinstance(images, str | list | tuple) and not images)
