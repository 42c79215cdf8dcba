"""Regular expressions that are compiled when they are first used: each costs 0.1 ms, and a start of a worker uses few of them."""

from __future__ import annotations

import re
from typing import Any


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """What `re.compile` returns, as far as the methods go."""
    return _Pattern(text, flags)  # type: ignore[return-value]


class _Pattern:
    def __init__(self, text: str, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)  # so that this is asked once
        return found
