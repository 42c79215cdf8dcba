"""Base64 images in an operator's arguments. Airflow stores and shows arguments, so placeholders replace the images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any


class InlineImages:
    """Stores base64 images under the placeholders that replace them in an operator's arguments."""

    def __init__(self) -> None:
        self._by_placeholder: dict[str, str] = {}

    def hide(self, image: Any) -> Any:
        """Return a placeholder for base64, any other value unchanged."""
        from airflow_provider_kling.redaction import is_inline, show_place

        if not isinstance(image, str) or image in self._by_placeholder or not is_inline(image):
            return image
        placeholder = f"<{show_place(image)}, {hashlib.sha256(image.encode()).hexdigest()[:8]}>"
        self._by_placeholder[placeholder] = image
        return placeholder

    def reveal(self, image: str | None, images: Sequence[str] | None) -> list[str]:
        """The images of an operator's two arguments, without placeholders."""
        return [self._by_placeholder.get(source, source) for source in ([image] if image else images or ())]
