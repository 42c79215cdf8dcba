"""What comes from a manifest, an XCom or a run conf is never rendered as a template."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, Param, task, task_group
from hostile import HostileKling
from task_runs import FakeAirflow

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.mapping import read_manifest
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

PASSWORD = "{{ conn.kling_default.password }}"
MARKED = f"https://example.com/{PASSWORD}/{{% if 0 %}}a{{% endif %}}/{{# gone #}}.jpg"
ROW = {"row_id": PASSWORD, "effect_scene": "squish", "image": MARKED.replace(" ", ""), "images": None}
PAIR = {"row_id": "two", "effect_scene": "hug_pro", "image": None, "images": [ROW["image"], "https://example.com/2.jpg"]}


@pytest.fixture
def kling(monkeypatch):
    with HostileKling() as kling:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection())
        yield kling


@task
def read():
    """What it leaves is what the test puts into the XComs."""


def images(kling) -> list[str]:
    return [image for made in kling.ledger for image in made.request["input"].get("images") or [made.request["input"]["image"]]]


def run(build, left, *, map_index=0, **arguments):
    """One task of a DAG, run after its upstream task has left this XCom."""
    with DAG("d", schedule=None, params={"out": PASSWORD}):
        operator = build(read())
    airflow = FakeAirflow(map_index=map_index, xcoms={"return_value": left}, **arguments)
    ended = airflow.finish(operator)
    assert ended.state == "success", ended.error
    return airflow


@pytest.mark.parametrize("row", [ROW, PAIR], ids=["single", "dual"])
def test_a_row_that_is_mapped_over_stays_as_it_is(kling, row):
    def build(rows):
        operator = KlingEffectOperator.partial(task_id="video", map_index_template="{{ task.row_id }}", fresh="{{ params.out }}")
        return operator.expand(row=rows)

    airflow = run(build, [row])
    assert images(kling) == [image for image in [row["image"], *(row["images"] or [])] if image]
    assert airflow.xcoms["kling_task"]["row_id"] == row["row_id"]
    assert airflow.rendered["row_id"] == row["row_id"]


def test_a_row_of_a_mapped_task_group_stays_as_it_is(kling):
    def build(rows):
        @task_group
        def video(row):
            KlingEffectOperator(task_id="create", row=row)

        video.expand(row=rows)
        return rows.operator.dag.get_task("video.create")

    airflow = run(build, [PAIR, ROW], map_index=1)
    assert images(kling) == [ROW["image"]]
    assert airflow.xcoms["kling_task"]["row_id"] == PASSWORD


def test_a_row_without_mapping_makes_the_reading_task_come_first(kling):
    def build(row):
        operator = KlingEffectOperator(task_id="video", row=row)
        assert operator.upstream_task_ids == {"read"}
        return operator

    run(build, ROW, map_index=-1)
    assert images(kling) == [ROW["image"]]


def test_arguments_that_an_xcom_holds_are_not_rendered_by_expand_kwargs(kling):
    def build(rows):
        return KlingEffectOperator.partial(task_id="video", fresh="{{ params.out }}").expand_kwargs(rows)

    airflow = run(build, [ROW])
    assert images(kling) == [ROW["image"]]
    assert airflow.rendered["fresh"] == PASSWORD  # the DAG file's own template is rendered, once


def test_a_list_of_images_that_an_xcom_holds_is_not_rendered(kling):
    run(lambda pairs: KlingEffectOperator.partial(task_id="video", effect_scene="hug_pro").expand(images=pairs), [PAIR["images"]])
    assert images(kling) == PAIR["images"]


def test_templates_that_the_dag_file_maps_over_are_rendered(kling):
    def build(_):
        arguments = [{"image": "https://example.com/{{ ti.map_index }}.jpg"}, {"image": "https://example.com/{{ run_id }}.jpg"}]
        return KlingEffectOperator.partial(task_id="video", effect_scene="squish").expand_kwargs(arguments)

    run(build, None, map_index=1)
    assert images(kling) == ["https://example.com/scheduled__2026-01-01.jpg"]


def test_a_shard_that_an_xcom_names_renders_nothing_of_it(kling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"effect_scene": "squish", "image": ROW["image"]}))

    def build(arguments):
        return KlingEffectBatchOperator.partial(task_id="batch", manifest=str(manifest), save_to=None).expand_kwargs(arguments)

    airflow = run(build, [{"shard": "1/1", "results": f"out-{PASSWORD}"}])
    assert (tmp_path / f"out-{PASSWORD}" / "results.jsonl").exists()
    assert images(kling) == [ROW["image"]]
    assert "sk-hostile-key" not in str(airflow.rendered)


def test_a_parameter_of_the_run_is_rendered_once(kling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.jsonl").write_text(json.dumps({"effect_scene": "squish", "image": ROW["image"]}))
    with DAG("d", schedule=None, params={"output": Param(f"out/{PASSWORD}", type="string")}):
        operator = KlingEffectBatchOperator(
            task_id="batch", manifest=str(tmp_path / "m.jsonl"), results="{{ params.output }}", save_to="{{ params.output }}/v"
        )
    assert FakeAirflow().finish(operator).state == "success"
    assert (tmp_path / "out" / PASSWORD / "results.jsonl").exists()
    assert len(list((tmp_path / "out" / PASSWORD / "v").glob("*.mp4"))) == 1


def test_a_sensor_takes_the_id_of_its_row(kling):
    def build(rows):
        @task_group
        def video(row):
            KlingTaskSensor(task_id="wait", row=row, kling_task_id="{{ params.out }}", poke_interval=0.01, timeout=30)

        video.expand(row=rows)
        return rows.operator.dag.get_task("video.wait")

    with DAG("d", schedule=None):
        create = KlingEffectOperator(task_id="create", row=ROW)
    FakeAirflow().finish(create)
    with DAG("d", schedule=None, params={"out": kling.ledger[0].task_id}):
        wait = build(read())
    airflow = FakeAirflow(map_index=0, xcoms={"return_value": [ROW]})
    assert airflow.finish(wait).state == "success"
    assert airflow.result["row_id"] == PASSWORD


def test_rows_come_from_a_manifest_as_the_operator_takes_them(kling, tmp_path):
    (tmp_path / "m.jsonl").write_text(json.dumps({"id": "a", "effect_scene": "squish", "image": ROW["image"]}))
    rows = read_manifest(str(tmp_path / "m.jsonl"))
    run(lambda xcom: KlingEffectOperator.partial(task_id="video").expand(row=xcom), rows)
    assert images(kling) == [ROW["image"]]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"row": ROW, "image": "https://example.com/a.jpg"}, {"row": ROW, "effect_scene": "squish"}, {"row": ROW, "row_id": "a"}],
)
def test_a_row_stands_alone_and_without_it_a_scene_is_needed(arguments):
    with DAG("d", schedule=None), pytest.raises(KlingInputError, match="row"):
        KlingEffectOperator(task_id="video", **arguments)


@pytest.mark.parametrize("row", ["a", ["a"], {}, {**ROW, "save_to": "/x"}, {**ROW, "row_id": 7}, {**ROW, "effect_scene": None}])
def test_what_is_no_row_is_refused_without_a_retry(kling, row):
    with DAG("d", schedule=None):
        operator = KlingEffectOperator.partial(task_id="video").expand(row=read())
    ended = FakeAirflow(map_index=0, max_tries=3, xcoms={"return_value": [row]}).run(operator)
    assert ended.state == "failed"
    assert "wanted is a row that read_manifest returned" in str(ended.error)
    assert kling.ledger == []
