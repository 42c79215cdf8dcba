"""An image as the API accepts it: a URL or raw base64, within these limits."""

from __future__ import annotations

import base64
import binascii

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.redaction import show_place

# The vendor's page on video effects: "file size: ≤10MB, dimensions: ≥300px, aspect ratio: 1:2.5 ~ 2.5:1".
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MIN_IMAGE_SIDE = 300  # pixels
MAX_IMAGE_RATIO = 2.5  # of the long side to the short one


def is_url(image: str) -> bool:
    """Whether the image is a URL, which Kling downloads itself."""
    return image.lower().startswith(("http://", "https://"))


def decode_base64(text: str) -> bytes:
    """The bytes of raw base64. Raises KlingInputError for anything else."""
    if text.startswith("data:"):
        raise KlingInputError(
            "Kling accepts base64 only without its 'data:…;base64,' prefix; airflow_provider_kling.manifests.load_image removes it."
        )
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        shown = show_place(text) if len(text) <= 60 else f"{text[:20]}… ({len(text):,} characters)"
        raise KlingInputError(f"Image {shown!r} is neither an http(s) URL nor raw base64.")
    return data
