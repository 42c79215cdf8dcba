"""JSON values put aside on this machine's disk: memory only keeps where each one lies."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Hashable
from types import TracebackType
from typing import Any


class Spool:
    """Values by key; of a key that is put twice, the last one counts. A context manager: the file ends with it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="airflow-kling-")  # noqa: SIM115 - closed in __exit__
        self._places: dict[int, int] = {}  # hash of a key → where its value begins
        self._end = 0

    def put(self, key: Hashable, value: Any) -> None:
        line = json.dumps(value, default=str).encode() + b"\n"
        self._file.seek(self._end)
        self._file.write(line)
        self._places[hash(key)] = self._end
        self._end += len(line)

    def get(self, key: Hashable) -> Any:
        """The value of this key; None without one. Keys are told apart by 64 bits of their hash."""
        place = self._places.get(hash(key))
        if place is None:
            return None
        self._file.seek(place)
        return json.loads(self._file.readline())

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()
