"""The checks of input images as the API does them: some refuse the create, some make the task fail at its end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_kling.api import (
    MAX_IMAGE_BYTES,
    MAX_IMAGE_RATIO,
    MIN_IMAGE_SIDE,
    CreateBody,
    EffectRequest,
    Refusal,
    decode_base64,
    scenes,
)
from airflow_provider_kling.emulator.videos import drawn_key, thumbnail
from airflow_provider_kling.errors import KlingInputError

BAD_PIXELS = "Image pixel is invalid"
BAD_RATIO = (
    "The resolution or aspect ratio of the input image is invalid. "
    "Please ensure that each side has at least 300px and the aspect ratio is between 1:2.5 and 2.5:1"
)
RISK = "Failure to pass the risk control system"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An input image that was accepted. `flaw` is why its task is going to fail; `data` is a small copy of it."""

    key: str
    flaw: str = ""
    data: bytes | None = field(default=None, repr=False)


def check_scene(body: CreateBody, *, strict: bool) -> None:
    """Refusal 1201 for a number of images that the scene does not take, or for an unknown scene when `strict`."""
    scene = scenes().get(body.effect_scene)
    if scene is None:
        if strict:
            raise Refusal(1201, f"effect_scene value '{body.effect_scene}' is invalid")
        return
    if len(body.images) != scene.images:
        raise Refusal(1201, "images size must be 2" if scene.images == 2 else "image must not be empty")


def fingerprint(body: CreateBody) -> str:
    """What tells this request from others; Refusal 1201 when it is no request at all."""
    try:
        return EffectRequest(body.effect_scene, body.images).fingerprint
    except ValueError as error:
        raise Refusal(1201, str(error)) from None


def of_url(url: str) -> Picture:
    """An image that is not loaded: nothing is known of it but its name."""
    try:
        name = urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        raise Refusal(1201, "Image url is invalid") from None
    return Picture(key=drawn_key(url), flaw=RISK if "risk" in name.lower() else "")


def of_text(text: str) -> Picture:
    """An image in base64. Slow; belongs into a thread."""
    if text.lower().startswith("data:"):
        raise Refusal(1201, "Image is invalid: base64 must not have a prefix like data:image/png;base64,")
    try:
        return of_bytes(decode_base64(text))
    except KlingInputError:
        raise Refusal(1201, "Image is invalid: neither a URL nor base64") from None


def of_bytes(data: bytes) -> Picture:
    """An image as it stands in a file. Slow; belongs into a thread."""
    if len(data) > MAX_IMAGE_BYTES:
        raise Refusal(1201, "Image size must not exceed 10MB")
    small, (width, height) = thumbnail(data)
    flaw = ""
    if min(width, height) < MIN_IMAGE_SIDE:
        flaw = BAD_PIXELS
    elif max(width, height) > MAX_IMAGE_RATIO * min(width, height):
        flaw = BAD_RATIO
    return Picture(key=hashlib.sha256(data).hexdigest(), flaw=flaw, data=small)


def first_flaw(scene: str, pictures: Sequence[Picture], *, risky: Sequence[str]) -> str:
    """Why the task is going to fail, if it is."""
    flaws = [picture.flaw for picture in pictures if picture.flaw]
    return flaws[0] if flaws else RISK if scene in risky else ""
