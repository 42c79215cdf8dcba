"""The charges of accounts read day by day, and reconciled with results. Blocks.

A month may have 100,000 charges: they wait in a temporary file, and memory holds what is known of each task.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.reconciling.finding import known_tasks
from airflow_provider_kling.reconciling.ledger import MARGIN, Ledger
from airflow_provider_kling.reconciling.span import DEFAULT_LATENESS, Span
from airflow_provider_kling.results import count_of

if TYPE_CHECKING:
    from typing import IO


@contextmanager
def reconcile(
    span: Span,
    *,
    conn_ids: Sequence[str],
    sources: Sequence[str | Mapping[str, Any]],
    lateness: timedelta = DEFAULT_LATENESS,
    timeout: float | None = None,
    log: Callable[[str], object],
    now: datetime | None = None,
) -> Iterator[tuple[Ledger, Iterator[dict[str, Any]]]]:
    """The lines of all charges of these accounts for tasks that were created in the span, and of tasks without a charge.

    A context manager: the lines are read while it is open. `timeout` is that of each list of a day. Raises KlingError for
    charges or results that cannot be read: a table with a part of the charges is never made.
    """
    ledger = Ledger(span=span, as_of=now or datetime.now(timezone.utc), lateness=lateness, compared=bool(sources))
    tasks = 0
    for task in known_tasks(sources, since=span.start - MARGIN):
        tasks += 1
        ledger.know(task)
    if sources:
        log(f"The results name {count_of(tasks, 'Kling task')}.")
    with tempfile.TemporaryFile(prefix="airflow-kling-") as file:
        for conn_id in conn_ids:
            _read(ledger, conn_id, file, timeout=timeout, log=log)
        if ledger.repeated:
            log(f"{count_of(ledger.repeated, 'charge')} came more than once from Kling, and counted once.")
        yield ledger, ledger.lines(_parts(file))


def _read(ledger: Ledger, conn_id: str, file: IO[bytes], *, timeout: float | None, log: Callable[[str], object]) -> None:
    """Count the charges of one account, and write their parts of lines into the file."""
    options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    with KlingHook(conn_id) as hook:
        for start, end in ledger.span.days:
            if start > ledger.as_of:
                return  # nothing is created in the future
            found = 0
            for charge in hook.get_charges(start, end, **options):
                if (part := ledger.count(charge, conn_id)) is not None:
                    found += 1
                    file.write(json.dumps(part).encode() + b"\n")
            log(f"Connection {conn_id}: {count_of(found, 'charge')} for tasks created on {start.to_date_string()}.")


def _parts(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    file.seek(0)
    for line in file:
        yield json.loads(line)
