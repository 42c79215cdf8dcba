"""What results say of Kling tasks: the few facts that charges are joined with. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pendulum

from airflow_provider_kling.results import as_units


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTask:
    """A Kling task of a row. `units`: what the result says it cost; None where it does not say.

    `dag_id` and `run_id` are None for results that do not tell them; `run` is then the name of their folder.
    """

    kling_task_id: str
    dag_id: str | None = None
    run_id: str | None = None
    run: str | None = None
    row_id: str | None = None
    effect_scene: str | None = None
    external_task_id: str | None = None
    status: str | None = None
    units: Decimal | None = None
    created_at: pendulum.DateTime | None = None
    ended_at: pendulum.DateTime | None = None

    def joined_with(self, other: KnownTask) -> KnownTask:
        """This one, with what only the other knows."""
        # A DAG and a run belong together: those of two results are not mixed.
        same_run = self.run_id is None or self.run_id == other.run_id
        names = [name for name in self.__slots__ if getattr(self, name) is None]
        return replace(
            self, **{name: getattr(other, name) for name in names if same_run or name not in ("dag_id", "run_id", "run")}
        )


def task_of_line(
    line: Mapping[str, Any], *, dag_id: str | None = None, run_id: str | None = None, run: str | None = None
) -> KnownTask | None:
    """The task of a line of results, or of what an operator returned; None for a row without a task."""
    kling_task_id = _text(line.get("kling_task_id"))
    if kling_task_id is None:
        return None
    row_id = line.get("id") if line.get("row_id") is None else line.get("row_id")
    return KnownTask(
        kling_task_id=kling_task_id,
        dag_id=_shared(dag_id),
        run_id=_shared(run_id),
        run=_shared(run),
        row_id=_text(row_id),
        effect_scene=_shared(_text(line.get("effect_scene"))),
        external_task_id=_text(line.get("external_task_id")),
        status=_shared(_text(line.get("status"))),
        units=as_units(line.get("units")),
        created_at=_time(line.get("created_at")),
        ended_at=_time(line.get("updated_at")),
    )


def _text(value: Any) -> str | None:
    """A text or a whole number, which some programs make of an id, as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _shared(text: str | None) -> str | None:
    """The one copy of a text that thousands of rows have."""
    return None if text is None else sys.intern(text)


def _time(value: Any) -> pendulum.DateTime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return pendulum.instance(found, tz="UTC")
