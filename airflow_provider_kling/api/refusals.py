"""Refusals of the content control: which of a request's images was meant, and the error for a task that failed.

A message is Kling's own text, so what it does not tell is not claimed.
"""

from __future__ import annotations

import re

from airflow_provider_kling.api.codes import is_input_fault, is_moderation
from airflow_provider_kling.errors import KlingModerationError, KlingTaskFailed, KlingTaskModerated
from airflow_provider_kling.patterns import pattern

SAME_AGAIN = "Use another image or scene: the same request would fail again."
TRY_AGAIN = "The same request may work another time."

# How a message may name an image: by its number, by its place in the API's list, which counts from 0, or by its side.
_INDEX = pattern(r"\bimages?\s*\[\s*(\d{1,2})\s*\]", re.IGNORECASE)
_NUMBER = pattern(
    r"\bimage\s*(?:no\.?|number|#)?[\s_-]*(\d{1,2})(?!\d|\s*(?:px|pixel|mb|kb|%))|\b(\d)(?:st|nd)\s+image\b", re.IGNORECASE
)
_WORD = pattern(r"\b(first|left|second|right)(?:[- ]hand)?\s+image\b", re.IGNORECASE)
_WORDS = {"first": 1, "left": 1, "second": 2, "right": 2}
_ELSE = pattern(r"\b(?:effect_scene|scene|prompt|text)\b", re.IGNORECASE)  # a refusal of something that is no image


def refused_image(message: str, images: int | None) -> int | None:
    """The number of the image that a refusal means, from 1; None if that is not known.

    `images` is how many the request has, None if that is not known. One that has a single image means this one, unless the
    message speaks of something else. A number beyond those of the request says nothing.
    """
    named = {int(found) + 1 for found in _INDEX.findall(message)}
    text = _INDEX.sub(" ", message)
    named |= {int(one or other) for one, other in _NUMBER.findall(text)}
    named |= {_WORDS[found.lower()] for found in _WORD.findall(text)}
    if len(named) == 1:
        (number,) = named
        return number if images is not None and 1 <= number <= images else None
    return 1 if not named and images == 1 and not _ELSE.search(message) else None


def name_refused(error: KlingModerationError, message: str, images: int | None) -> None:
    """Record in the error which image its message means, if that is known."""
    if (number := refused_image(message, images)) is not None and error.refused_image is None:
        error.name_image(number, of=images or 1)


def task_failure(kling_task_id: str, message: str, *, images: int | None = None, advice: str | None = None) -> KlingTaskFailed:
    """The error for a task that has failed with this `task_status_msg`: KlingTaskModerated if the risk control was the reason.

    `images` is how many images its request has, if that is known. `advice` replaces the advice that follows from the message.
    """
    fault = is_input_fault(message)
    said = advice if advice is not None else SAME_AGAIN if fault else TRY_AGAIN
    if not is_moderation(message):
        return KlingTaskFailed(kling_task_id, message, advice=said, input_fault=fault)
    error = KlingTaskModerated(kling_task_id, message, advice=said)
    name_refused(error, message, images)
    return error
