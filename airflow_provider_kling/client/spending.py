"""What was made with a connection in this month, for its caps per day and month: a file that all processes of a machine share.

Each create is reserved in the file before it is sent, under a lock, so that two processes never both take the last place. A
crash between the two forgets nothing: the reservation stays, and the next attempt, which has the same external id, finds
it. A create that Kling has refused gives its place back, unless another attempt relies on it.

What other machines and other programs make is seen in the account's list, which is read when the month begins and from
time to time. A folder that all machines share makes their count exact as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any

from airflow_provider_kling.api import Task
from airflow_provider_kling.caps import AccountCap
from airflow_provider_kling.client.flows.steps import Reserve, Reserved
from airflow_provider_kling.client.flows.submission import attempt_of
from airflow_provider_kling.errors import KlingStorageError
from airflow_provider_kling.redaction import show_reason

LIST_INTERVAL = 60.0  # seconds between two readings of the account's list, …
LIST_INTERVAL_OF_PAGE = 10.0  # … or so many for each page that it has had

Price = Callable[[str], Decimal | None]  # what a video of a scene costs at most, if any price is known


@dataclass
class _Month:
    """What the file of a month says."""

    made: dict[str, tuple[str, Decimal]] = field(default_factory=dict)  # by external id: day and units
    kept: set[str] = field(default_factory=set)  # ids whose place several attempts rely on, so that none gives it back
    days: dict[str, tuple[int, Decimal]] = field(default_factory=dict)  # by day: videos and units
    listed_at: float = float("-inf")  # Unix seconds, when the account's list was read last
    pages: int = 0
    read_up_to: int = 0  # bytes of the file …
    inode: int = 0  # … that has this number

    def take(self, line: bytes) -> None:
        """A line of the file. What a crash has cut off is none."""
        try:
            entry = json.loads(line)
            if "listed" in entry:
                self.listed_at, self.pages = float(entry["listed"]), int(entry["pages"])
                return
            external_id, back = str(entry["id"]), bool(entry.get("back"))
            if entry.get("kept"):
                self.kept.add(external_id)
                return
            day, units = ("", Decimal(0)) if back else (str(entry["day"]), Decimal(str(entry["units"] or 0)))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
            return
        if external_id in self.made:
            self._add(*self.made.pop(external_id), sign=-1)
        if not back:
            self.made[external_id] = (day, units)
            self._add(day, units, sign=1)

    def _add(self, day: str, units: Decimal, *, sign: int) -> None:
        videos, spent = self.days.get(day, (0, Decimal(0)))
        self.days[day] = (videos + sign, spent + sign * units)

    def counts(self, day: str, *, without: tuple[str, Decimal] | None) -> dict[str, tuple[int, Decimal]]:
        """Videos and units of this day and of the month, as `AccountCap.refusal` takes them, `without` one of an earlier day."""
        days = list(self.days.values())
        less, less_units = (0, Decimal(0)) if without is None else (1, without[1])
        whole = sum(videos for videos, _ in days) - less, sum((units for _, units in days), Decimal(0)) - less_units
        return {"day": self.days.get(day, (0, Decimal(0))), "month": whole}


class Spending:
    """The count of one connection, in a folder. `cap` are its caps, `price` tells prices, `now` the time (UTC)."""

    def __init__(
        self,
        folder: Path,
        conn_id: str,
        cap: AccountCap,
        *,
        price: Price,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._folder, self._cap, self._price, self._now = folder, cap, price, now
        self._name = re.sub(r"[^A-Za-z0-9_.-]", "_", conn_id)[:100]
        self._months: dict[str, _Month] = {}

    def reserve(self, step: Reserve) -> Reserved:
        """Take a place for one create.

        A place that this external id has from before stays its own; one of an earlier day becomes one of today, if the caps permit.
        Raises KlingCappedError if there is no place, KlingStorageError if the file cannot be written. Blocks for a moment.
        """
        now, cost, unknown = self._now(), self._cost(step.scene or ""), self._cost("")
        with self._open(now) as (month, write):
            for task in step.listed or ():
                if entry := _entry_of(task, now, month, unknown):
                    write(entry)
            if step.listed is not None:
                write({"listed": now.timestamp(), "pages": step.pages})
            had = month.made.get(step.external_id)
            if had is None and now.timestamp() >= month.listed_at + max(LIST_INTERVAL, LIST_INTERVAL_OF_PAGE * month.pages):
                return Reserved.LIST_FIRST
            if had is None or had[0] != _day(now):
                refusal = self._cap.refusal(month.counts(_day(now), without=had), cost)
                if refusal is not None:
                    raise refusal
                write({"id": step.external_id, "day": _day(now), "units": None if cost is None else format(cost, "f")})
            if had is not None and step.external_id not in month.kept:
                # The attempt that took it, perhaps still alive, must not give it back any more.
                write({"id": step.external_id, "kept": True})
        return Reserved.NEW if had is None else Reserved.HAD

    def give_back(self, external_id: str) -> None:
        """The create was refused: nothing is paid for under this id, unless another attempt relies on its place."""
        with self._open(self._now()) as (month, write):
            if external_id in month.made and external_id not in month.kept:
                write({"id": external_id, "back": True})

    def _cost(self, scene: str) -> Decimal | None:
        return self._price(scene) if self._cap.counts_units else None

    @contextlib.contextmanager
    def _open(self, now: datetime) -> Iterator[tuple[_Month, Callable[[dict[str, Any]], None]]]:
        """The file of the month, locked and read to its end, and what writes a line into it."""
        key = _month(now)
        path = self._folder / f"{self._name}-{key}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
                month = self._read_on(key, file)

                def write(entry: dict[str, Any]) -> None:
                    line = json.dumps(entry).encode() + b"\n"
                    file.write(line)
                    file.flush()
                    month.read_up_to += len(line)
                    month.take(line)

                yield month, write
        except OSError as error:
            raise KlingStorageError(
                f"The count for the caps of the connection cannot be kept in {self._folder}: {show_reason(error)}. Nothing was "
                "sent. Set [kling] spending_folder to a folder that all workers and triggerers can write to."
            ) from error

    def _read_on(self, key: str, file: IO[bytes]) -> _Month:
        """What the file says, read from where it was read before. Ends a line that a crash has cut off."""
        status = os.fstat(file.fileno())
        month = self._months.get(key, _Month(inode=status.st_ino))
        if status.st_size < month.read_up_to or status.st_ino != month.inode:
            month = _Month(inode=status.st_ino)  # somebody has replaced the file
        self._months = {key: month}
        file.seek(month.read_up_to)
        data = file.read()
        for line in data.split(b"\n"):
            month.take(line)
        month.read_up_to += len(data)
        if data and not data.endswith(b"\n"):
            file.write(b"\n")
            month.read_up_to += 1
        return month


def _entry_of(task: Task, now: datetime, month: _Month, unknown: Decimal | None) -> dict[str, Any] | None:
    """The line for a task of this month that the list shows and the file does not know. What has failed costs nothing."""
    attempt = attempt_of(task.external_task_id)
    external_id = attempt[0] if attempt else task.external_task_id or task.kling_task_id
    made = task.created_at and task.created_at.astimezone(timezone.utc)
    if task.failed or external_id in month.made or made is None or _month(made) != _month(now):
        return None
    units = task.units if task.units is not None else unknown
    return {"id": external_id, "day": _day(made), "units": None if units is None else str(units)}


def _month(time: datetime) -> str:
    return time.strftime("%Y-%m")


def _day(time: datetime) -> str:
    return time.strftime("%Y-%m-%d")
