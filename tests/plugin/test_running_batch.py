"""The rows of a batch that goes on: the manifest's, with what its progress knows of them."""

from __future__ import annotations

from airflow_provider_kling.plugin.batch_rows import add_batch
from airflow_provider_kling.plugin.dag_shape import KlingTask
from airflow_provider_kling.plugin.database import Instance, Run
from airflow_provider_kling.plugin.selection import Selection


def test_an_image_that_a_column_names_is_one_image(tmp_path):
    (tmp_path / "m.csv").write_text("id,effect_scene,image\na,squish,a.jpg\n")
    place = {"manifest": str(tmp_path / "m.csv"), "format": "csv", "results": str(tmp_path / "out")}
    task = KlingTask(task_id="batch", kind="batch")
    run = Run(id=1, dag_id="d", run_id="r", state="running", started_at=None, ended_at=None)
    selection, notes = Selection(), []
    add_batch(Instance(task=task, map_index=-1, state="deferred", xcoms={"kling_batch": place}), run, selection, notes)
    assert [(row.row_id, row.images) for row in selection.rows] == [("a", (str(tmp_path / "a.jpg"),))]
    assert notes == []
