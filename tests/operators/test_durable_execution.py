"""A Kling task is found again by its computed id alone: nothing that Airflow keeps of a task is needed for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from task_runs import FakeAirflow, operator

from airflow_provider_kling.operators import KlingChargesOperator, KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor


@dataclass
class Asked(FakeAirflow):
    """Airflow, which remembers what a task asks it for."""

    paths: list[str] = field(default_factory=list)

    def _respond(self, request: Any) -> Any:
        self.paths.append(request.url.path)
        return super()._respond(request)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("status", ["processing", "succeed"])
def test_a_clear_adopts_although_airflow_has_forgotten_all_of_the_task(kling, polled_early, deferrable, status):
    """Airflow 3.4 deletes the task state of what is cleared; XComs have always gone. A clear is a further try."""
    options = {"deferrable": deferrable, "wait_for_completion": status == "succeed"}
    Asked().finish(operator(**options))
    cleared = Asked(try_number=2, max_tries=1)
    assert cleared.finish(operator(**options)).state == "success"
    assert len(kling.ledger) == 1
    assert cleared.xcoms["kling_task"]["kling_task_id"] == kling.ledger[0]["kling_task_id"]
    assert not [path for path in cleared.paths if "store" in path]


def test_another_video_after_a_clear_needs_another_fresh(kling):
    for tries, fresh in enumerate(["", "", "second take", "second take"], 1):
        FakeAirflow(try_number=tries).finish(operator(fresh=fresh))
    assert len(kling.ledger) == 2


@pytest.mark.parametrize("cls", [KlingEffectOperator, KlingEffectBatchOperator, KlingTaskSensor])
def test_the_classes_say_so_as_airflows_registry_reads_it(cls):
    """The registry looks for the private name in the class that has `execute`: a subclass must say it anew."""
    assert vars(cls)[f"_{cls.__name__}__supports_durable_execution"] is True
    assert "execute" in vars(cls)
    assert not hasattr(KlingChargesOperator, "_KlingChargesOperator__supports_durable_execution")
