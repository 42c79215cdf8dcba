"""Base64 images in arguments: they are neither shown nor stored."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from task_runs import operator

from airflow_provider_kling.outcomes import AirflowRescheduleException


def test_base64_is_in_no_rendered_field_and_no_xcom(airflow, kling, photo):
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    assert airflow.run(operator(image=image)).state == "success"
    assert (
        airflow.run(operator(effect_scene="hug_pro", image=None, images=[image, f"data:image/jpeg;base64,{image}"])).state
        == "success"
    )
    shown = json.dumps([airflow.rendered, airflow.xcoms, operator(image=image).image])
    assert image[:60] not in shown
    assert "base64 image (81,744 characters)" in shown
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(slots=0)
def test_base64_never_reaches_a_trigger_row(airflow, kling, photo):
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    run = airflow.run(operator(image=image, deferrable=True))
    assert run.state == "up_for_reschedule"
    assert issubclass(AirflowRescheduleException, Exception)
