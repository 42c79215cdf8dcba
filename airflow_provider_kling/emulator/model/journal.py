"""What was asked of the emulator, request by request. It holds no tokens and no images."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

LENGTH = 200_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request, or one callback that was sent (`kind` is `callback`, `path` its URL without a query).

    Other kinds: create, get, list, costs, video, wrong_method (on a known path), nowhere (an unknown path).
    `time` is the account's, `id` what a query asked for, `code` the answer's error code (0: none, null: the answer
    had no code), `credential` the kind and the name of the accepted one, `authorization` whether such a header was
    there at all, `fault` what was done to it by order.
    """

    n: int
    time: float
    kind: str
    method: str
    path: str
    query: str = ""
    id: str | None = None
    external_task_id: str | None = None
    effect_scene: str | None = None
    kling_task_id: str | None = None
    status: int | None = None
    code: int | None = None
    credential: str = ""
    authorization: bool = False
    user_agent: str = ""
    fault: str = ""

    def shown(self) -> dict[str, Any]:
        """The entry as JSON."""
        return asdict(self)


class Journal:
    """The last 200,000 entries, and counts of all."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=LENGTH)
        self._kinds: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._length = 0

    def open(self, *, time: float, kind: str, method: str, path: str) -> Entry:
        """A new entry, already in the journal; the rest is filled in as it becomes known."""
        self._length += 1
        entry = Entry(n=self._length, time=time, kind=kind, method=method, path=path)
        self._entries.append(entry)
        self._kinds[kind] += 1
        return entry

    def close(self, entry: Entry, *, status: int, code: int | None) -> None:
        """The entry's request was answered, with HTTP status 0 if it got no answer."""
        entry.status, entry.code = status, code
        self._answers[f"{entry.kind} {status if code is None else code}"] += 1

    def shown(self, *, since: int = 0, kind: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """Entries whose number is greater than `since`, the oldest first."""
        fitting = (entry.shown() for entry in self._entries if entry.n > since and kind in ("", entry.kind))
        return list(islice(fitting, limit))

    def counts(self) -> dict[str, Any]:
        """How many requests of each kind came, and how they were answered: by code, or by status without one."""
        return {"requests": dict(self._kinds), "answers": dict(self._answers)}
