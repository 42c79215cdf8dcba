"""Input images as a create gives them: a URL or base64. Some are refused at once, some make the task fail at its end."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

import aiohttp

from airflow_provider_kling.api import MAX_IMAGE_BYTES, Refusal, decode_base64, is_url
from airflow_provider_kling.emulator.model import failure_of_name, failure_of_size
from airflow_provider_kling.emulator.videos.pictures import Store, drawn_key, thumbnail
from airflow_provider_kling.errors import KlingInputError

FETCH_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An accepted image. `failure` is the message with which its task fails, or ""; `copy` is a small JPEG of it."""

    key: str
    failure: str = ""
    copy: bytes | None = field(default=None, repr=False)


async def receive(image: str, *, store: Store, fetch: bool) -> Upload:
    """Accept an image, and put its copy into the store. Raises Refusal 1201 for an invalid one.

    A URL is loaded only with `fetch`; otherwise only its file name is checked.
    """
    if not is_url(image):
        upload = await asyncio.to_thread(from_base64, image)
    else:
        upload = Upload(key=drawn_key(image), failure=failure_of_name(image))
        if fetch and not upload.failure:
            upload = await asyncio.to_thread(from_bytes, await _fetch(image))
    if upload.copy is not None:
        store.put(upload.key, upload.copy)
    return upload


def from_base64(text: str) -> Upload:
    """An image in base64. Slow: call it in a thread."""
    if text.lower().startswith("data:"):
        raise Refusal(1201, "Image is invalid: base64 must not have a prefix like data:image/png;base64,")
    try:
        return from_bytes(decode_base64(text))
    except KlingInputError:
        raise Refusal(1201, "Image is invalid: neither a URL nor base64") from None


def from_bytes(data: bytes) -> Upload:
    """An image file. Slow: call it in a thread."""
    if len(data) > MAX_IMAGE_BYTES:
        raise Refusal(1201, "Image size must not exceed 10MB")
    copy, (width, height) = thumbnail(data)
    return Upload(key=hashlib.sha256(data).hexdigest(), failure=failure_of_size(width, height), copy=copy)


async def _fetch(url: str) -> bytes:
    """The bytes of an image, at most a little more than the limit. Raises Refusal 1201 if it cannot be loaded."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            if response.status != 200:
                raise Refusal(1201, "Image url can not be loaded")
            data = bytearray()
            async for part in response.content.iter_chunked(2**16):
                data += part
                if len(data) > MAX_IMAGE_BYTES:
                    break
            return bytes(data)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
        raise Refusal(1201, "Image url can not be loaded") from None
