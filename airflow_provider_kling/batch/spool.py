"""JSON values in a temporary file: memory holds only where each one starts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Hashable
from types import TracebackType
from typing import Any


class Spool:
    """Values by key; of several values for a key the last one counts. A context manager, which deletes the file at its end."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="airflow-kling-")  # noqa: SIM115 - closed in __exit__
        self._offsets: dict[int, int] = {}  # hash of a key → where its value starts
        self._end = 0

    def put(self, key: Hashable, value: Any) -> None:
        line = json.dumps(value, default=str).encode() + b"\n"
        self._file.seek(self._end)
        self._file.write(line)
        self._offsets[hash(key)] = self._end
        self._end += len(line)

    def get(self, key: Hashable) -> Any:
        """The value of this key; None without one. Two keys are the same if the 64 bits of their hashes are."""
        offset = self._offsets.get(hash(key))
        if offset is None:
            return None
        self._file.seek(offset)
        return json.loads(self._file.readline())

    def __len__(self) -> int:
        return len(self._offsets)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()
