"""Rows checked for a plan: each image is loaded as a run would load it, several at once, and forgotten at once."""

from __future__ import annotations

import contextvars
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from airflow_provider_kling.api import EFFECTS, ErrorKind, error_kind, is_url
from airflow_provider_kling.client import external_id_of
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.manifests import BadRow, Row, load_image
from airflow_provider_kling.planning.tally import ERROR, INVALID
from airflow_provider_kling.redaction import show_error

# Decoding an image leaves Python's lock to the others. A store's answers are waited for, so there are more threads than cores.
THREADS = min(16, 4 + 2 * (os.cpu_count() or 1))
AHEAD = 2 * THREADS  # rows that are checked before they are asked for
AHEAD_CHARACTERS = 50_000_000  # of images in these rows themselves, as base64

CheckUrl = Callable[[str], str | None]
"""Returns what is wrong with an image's URL, if anything."""


class Checked(NamedTuple):
    """A row, its external id where one is wanted, and why it cannot be asked for, if it cannot."""

    row: Row | BadRow
    external_id: str | None = None
    state: str | None = None
    reason: str | None = None
    kind: ErrorKind | None = None


class Check(NamedTuple):
    """How rows are checked: with their images or without, their URLs or not; `identity` is the DAG, run and task of the run.

    `iteration` is that of the loop around the task, if there is one.
    """

    images: bool = True
    url: CheckUrl | None = None
    identity: tuple[str, str, str] | None = None
    fresh: str | None = None
    iteration: int | None = None

    def of(self, row: Row | BadRow) -> Checked:
        """The row, checked. Blocks."""
        if isinstance(row, BadRow):
            return Checked(row, None, INVALID, " ".join(row.problems), "request")
        if not self.images and not all(map(is_url, row.images)):
            return Checked(row)
        try:
            request = EFFECTS.request_of(row.effect_scene, [load_image(source) for source in row.images])
        except Exception as error:  # noqa: BLE001 - the libraries of object stores have errors of their own
            state = error.row_status if isinstance(error, KlingError) else ERROR
            return Checked(row, None, state, show_error(error), error_kind(error))
        for source in filter(is_url, row.images) if self.url else ():
            if self.url and (wrong := self.url(source)):
                return Checked(row, None, INVALID, wrong, "image")
        if self.identity is None:
            return Checked(row)
        dag_id, run_id, task_id = self.identity
        ids = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
        return Checked(row, external_id_of(request, **ids, place=row.id, fresh=self.fresh, iteration=self.iteration))

    @property
    def is_quick(self) -> bool:
        """Whether a row takes no time worth a thread."""
        return not self.images and self.url is None


def checked_rows(rows: Iterable[Row | BadRow], check: Check) -> Iterator[Checked]:
    """The rows in their order, each checked. A few are checked at once and ahead, so memory holds only these."""
    if check.is_quick:
        yield from map(check.of, rows)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="kling-plan") as threads:
        waiting: deque[Future[Checked]] = deque()
        held = 0
        try:
            for row in rows:
                held += _characters(row)
                waiting.append(threads.submit(contextvars.copy_context().run, check.of, row))
                while len(waiting) >= AHEAD or held > AHEAD_CHARACTERS:
                    checked = waiting.popleft().result()
                    held -= _characters(checked.row)
                    yield checked
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _characters(row: Row | BadRow) -> int:
    return sum(map(len, row.images)) if isinstance(row, Row) else 0
