"""The journal: every request to the emulator, and every callback it sent. It holds no tokens and no images."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

LENGTH = 200_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request, or one callback that was sent.

    - `kind`: create, get, list, costs, billing, video, callback, wrong_method (on a known path) or nowhere (an unknown path)
    - `time`: the account's
    - `path`: of the request; for a callback its URL without the query
    - `id`: the id of a query
    - `effect_scene`: what the create asks for, the scene of an effect
    - `status`: HTTP status of the answer; 0 if there was none
    - `code`: error code of the answer (0: success; None: the answer had no code)
    - `credential`: kind and name of the accepted credential
    - `authorization`: whether the request had an Authorization header
    - `fault`: the fault that hit the request
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

    def to_json(self) -> dict[str, Any]:
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
        """Add an entry. The caller fills in the other fields when it knows them."""
        self._length += 1
        entry = Entry(n=self._length, time=time, kind=kind, method=method, path=path)
        self._entries.append(entry)
        self._kinds[kind] += 1
        return entry

    def close(self, entry: Entry, *, status: int, code: int | None) -> None:
        """Record the answer to the entry's request; the status is 0 if there was none."""
        entry.status, entry.code = status, code
        self._answers[f"{entry.kind} {status if code is None else code}"] += 1

    def to_json(self, *, since: int = 0, kind: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """The first `limit` entries of this kind whose number is greater than `since`, the oldest first."""
        matching = (entry.to_json() for entry in self._entries if entry.n > since and kind in ("", entry.kind))
        return list(islice(matching, limit))

    def counts(self) -> dict[str, Any]:
        """The number of requests of each kind, and of answers by code (by HTTP status where there is no code)."""
        return {"requests": dict(self._kinds), "answers": dict(self._answers)}
