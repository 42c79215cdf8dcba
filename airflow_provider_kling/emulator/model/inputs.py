"""Checks of requests: what makes a task fail at its end, and which requests are the same."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from airflow_provider_kling.api import MAX_IMAGE_RATIO, MIN_IMAGE_SIDE, Product, ReceivedRequest, Refusal

BAD_PIXELS = "Image pixel is invalid"
BAD_RATIO = (
    "The resolution or aspect ratio of the input image is invalid. "
    "Please ensure that each side has at least 300px and the aspect ratio is between 1:2.5 and 2.5:1"
)
RISK = "Failure to pass the risk control system"


def failure_of_name(url: str) -> str:
    """Why a task with the image at this URL fails, from its file name; "" if it does not. Raises Refusal 1201 for a broken URL."""
    try:
        name = urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        raise Refusal(1201, "Image url is invalid") from None
    return RISK if "risk" in name.lower() else ""


def failure_of_size(width: int, height: int) -> str:
    """Why a task with an image of this size in pixels fails; "" if it does not."""
    if min(width, height) < MIN_IMAGE_SIDE:
        return BAD_PIXELS
    return BAD_RATIO if max(width, height) > MAX_IMAGE_RATIO * min(width, height) else ""


def first_failure(title: str, of_images: Sequence[str], *, risky: Sequence[str]) -> str:
    """Why the task fails at its end: the first failure of an image, or the risk control; "" if it does not."""
    return next(filter(None, of_images), RISK if title in risky else "")


def fingerprint(product: Product, request: ReceivedRequest) -> str:
    """A text that is the same for the same request. Raises Refusal 1201 if the product rejects the request.

    It decodes and hashes images in base64: call it in a thread if there are any.
    """
    try:
        return product.request_of(request.title, request.images).fingerprint
    except ValueError as error:
        raise Refusal(1201, str(error)) from None
