"""What the plugin knows of `@task.kling_effect`: from the DAG as Airflow serializes it, and from what a run has left."""

from __future__ import annotations

import json

from airflow.sdk import DAG, task

from airflow_provider_kling import testing
from airflow_provider_kling.plugin.dag_shape import KlingTask, kling_tasks
from airflow_provider_kling.plugin.database import Instance, Records, Run
from airflow_provider_kling.plugin.views import view_of_records

RUN = Run(id=1, dag_id="d", run_id="r", state="running", started_at=None, ended_at=None)


def test_a_serialized_dag_with_decorated_functions():
    with DAG("d", schedule=None) as dag:

        @task.kling_effect
        def one():
            """Is never called here."""

        @task.kling_effect(results="{{ run_id }}", deferrable=True)
        def each(pet):
            """Is never called here."""

        one()
        each.expand(pet=["a", "b"])
    serialized = json.loads(json.dumps(testing._serialize(dag), default=str))
    assert kling_tasks(serialized) == {name: KlingTask(task_id=name, kind="create") for name in ("one", "each")}
    links = {"Video", "Report", "Results"}
    for found in serialized["dag"]["tasks"]:
        assert set(found["__var"]["_operator_extra_links"]) == links


def test_a_function_that_has_returned_a_list_is_a_batch_and_its_rows_are_seen_while_it_runs(tmp_path):
    (tmp_path / "requests.jsonl").write_text('{"id": "a", "effect_scene": "squish", "image": "https://example.com/a.jpg"}\n')
    place = {"manifest": str(tmp_path / "requests.jsonl"), "results": str(tmp_path), "kling_conn_id": "kling_default", "rows": 1}
    videos = Instance(task=KlingTask(task_id="videos", kind="create"), map_index=-1, state="deferred", xcoms={"kling_batch": place})
    view = view_of_records(Records(run=RUN, instances=[videos]))
    assert [(row.row_id, row.effect_scene, row.task_id) for row in view.rows] == [("a", "squish", "videos")]
