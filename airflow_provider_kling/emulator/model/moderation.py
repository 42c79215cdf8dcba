"""The content control: which creates are refused for their scene or an image, and which tasks fail for an image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from airflow_provider_kling.api import CODES, ReceivedRequest, Refusal, decode_base64, is_url
from airflow_provider_kling.emulator.model.settings import Settings
from airflow_provider_kling.errors import KlingInputError

SHORTEST_HASH = 8  # hex digits; a shorter text is only looked for in URLs


def check_content(request: ReceivedRequest, settings: Settings) -> None:
    """Raise Refusal 1300 or 1301 for a scene or an image that the settings name. Slow with images in base64."""
    if request.title in settings.moderated_scene:
        raise Refusal(settings.moderation_code)
    if (number := _matching(request.images, settings.moderated_image)) is not None:
        meaning = CODES[settings.moderation_code].meaning
        raise Refusal(settings.moderation_code, f"{meaning}: image {number}" if settings.moderation_names_image else meaning)


def is_risky(images: Sequence[str], settings: Settings) -> bool:
    """Whether a task with these images fails in the risk control. Slow with images in base64."""
    return _matching(images, settings.risky_image) is not None


def _matching(images: Sequence[str], wanted: Sequence[str]) -> int | None:
    """The number, from 1, of the first image that one of these texts means."""
    if not wanted:
        return None
    return next((number for number, image in enumerate(images, 1) if _matches(image, wanted)), None)


def _matches(image: str, wanted: Sequence[str]) -> bool:
    if is_url(image):
        return any(text in image for text in wanted)
    try:
        digest = hashlib.sha256(decode_base64(image)).hexdigest()
    except KlingInputError:
        return False
    return any(len(text) >= SHORTEST_HASH and digest.startswith(text.lower()) for text in wanted)
