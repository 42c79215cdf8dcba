"""What asset events carry, through Airflow's real task runner: in each mode, for an asset and for an alias."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, Asset, AssetAlias
from batch_manifests import results_of, write_rows
from hypothesis import given, strategies as st
from task_runs import FakeAirflow, operator

from airflow_provider_kling.asset_events import MAX_EVENTS, uri_of
from airflow_provider_kling.operators import KlingEffectBatchOperator
from airflow_provider_kling.sensors import KlingTaskSensor

OUTLETS = [Asset("videos"), AssetAlias("each-video")]
MODES = {"worker": {}, "deferred": {"deferrable": True}, "ending in the triggerer": {"deferrable": True, "end_from_trigger": True}}
pytestmark = pytest.mark.kling_emulator(videos="clip", duration=0)


def finish(airflow: FakeAirflow, task) -> dict:
    """Run the task to its success, and return its asset events: the `extra` of the asset's, and the alias's events."""
    run = airflow.finish(task)
    while run.state == "up_for_reschedule":
        run = airflow.finish(task)
    assert run.state == "success", run.error
    events = json.loads(json.dumps(run.patch["outlet_events"]))
    return {
        "asset": [event["extra"] for event in events if "source_alias_name" not in event],
        "alias": [(event["dest_asset_key"]["uri"], event["extra"]) for event in events if "source_alias_name" in event],
    }


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_the_operators_events_carry_the_result(kling, mode, tmp_path):
    airflow = FakeAirflow()
    options = {"wait_for_completion": True, "save_to": str(tmp_path), "row_id": "r1", "outlets": OUTLETS, **mode}
    events = finish(airflow, operator(**options))
    check(events, airflow.result)


@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=str)
def test_the_sensors_events_carry_the_result(kling, mode, tmp_path):
    created = FakeAirflow()
    assert created.finish(operator(row_id="r1")).state == "success"
    airflow = FakeAirflow()
    with DAG("d", schedule=None):
        sensor = KlingTaskSensor(
            task_id="wait",
            kling_task_id=created.xcoms["kling_task"],
            save_to=str(tmp_path),
            poke_interval=0.05,
            outlets=OUTLETS,
            **mode,
        )
    check(finish(airflow, sensor), airflow.result)


def check(events: dict, result: dict) -> None:
    (video,) = result["videos"]
    extra = {
        **{name: result[name] for name in ("kling_task_id", "external_task_id", "effect_scene", "units", "row_id")},
        **{name: video[name] for name in ("path", "url", "expires_at", "duration")},
    }
    assert extra["row_id"] == "r1"
    assert all(extra.values())
    assert events == {"asset": [{**extra, "paths": [video["path"]]}], "alias": [(f"file://{video['path']}", extra)]}


def test_a_video_that_is_not_saved_is_no_asset(kling):
    airflow = FakeAirflow()
    events = finish(airflow, operator(wait_for_completion=True, outlets=OUTLETS))
    assert events["alias"] == []
    assert events["asset"][0]["path"] is None
    assert events["asset"][0]["paths"] == []
    assert events["asset"][0]["url"] == airflow.result["videos"][0]["url"]


def test_what_the_author_has_put_into_extra_stays(kling, tmp_path):
    def say(context):
        context["outlet_events"][OUTLETS[0]].extra = {"season": "winter", "row_id": "mine"}

    options = {"wait_for_completion": True, "save_to": str(tmp_path), "row_id": "r1", "outlets": OUTLETS, "pre_execute": say}
    (extra,) = finish(FakeAirflow(), operator(**options))["asset"]
    assert (extra["season"], extra["row_id"], extra["effect_scene"]) == ("winter", "mine", "pet_lion_pro")


def test_an_outlet_that_is_no_asset_is_left_alone(kling, tmp_path):
    options = {"wait_for_completion": True, "save_to": str(tmp_path), "row_id": "r1", "outlets": [object(), *OUTLETS]}
    airflow = FakeAirflow()
    check(finish(airflow, operator(**options)), airflow.result)


def test_a_place_that_airflow_takes_for_no_asset_fails_nothing(kling, tmp_path, caplog):
    folder = tmp_path.joinpath(*["a" * 200] * 8)  # Airflow's names of assets have at most 1,500 characters
    events = finish(FakeAirflow(), operator(wait_for_completion=True, save_to=str(folder), outlets=OUTLETS))
    assert len(events["asset"]) == 1
    assert events["alias"] == []


def batch(manifest: str, results, **options) -> KlingEffectBatchOperator:
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(
            task_id="batch", manifest=manifest, results=str(results), poll_interval=0.1, outlets=OUTLETS, **options
        )


@pytest.mark.kling_emulator(videos="clip", duration=0, slots=100)
def test_the_batchs_event_carries_the_summary_and_an_alias_gets_each_video(kling, tmp_path):
    manifest = write_rows(tmp_path, 3, {"id": "bad"})
    airflow = FakeAirflow()
    events = finish(airflow, batch(manifest, tmp_path / "out"))
    assert events["asset"] == [airflow.result]
    assert (airflow.result["rows"], airflow.result["succeed"], airflow.result["invalid"]) == (4, 3, 1)
    lines = {line["id"]: line for line in results_of(tmp_path / "out")}
    assert [extra["row_id"] for _, extra in events["alias"]] == ["r0", "r1", "r2"]
    for uri, extra in events["alias"]:
        assert extra["kling_task_id"] == lines[extra["row_id"]]["kling_task_id"]
        assert uri == f"file://{extra['path']}" == f"file://{lines[extra['row_id']]['videos'][0]['path']}"


@pytest.mark.kling_emulator(videos="clip", duration=0, slots=200)
def test_events_of_a_large_batch_are_bounded(kling, tmp_path):
    manifest = write_rows(tmp_path, MAX_EVENTS + 5)
    airflow = FakeAirflow()
    events = finish(airflow, batch(manifest, tmp_path / "out"))
    assert airflow.result["succeed"] == MAX_EVENTS + 5
    assert len(events["alias"]) == MAX_EVENTS
    assert len(events["asset"]) == 1


@pytest.mark.kling_emulator(videos="clip", duration=0)
def test_a_batch_that_saves_nothing_has_no_assets(kling, tmp_path):
    events = finish(FakeAirflow(), batch(write_rows(tmp_path, 2), tmp_path / "out", save_to=None))
    assert events["alias"] == []
    assert events["asset"][0]["videos"] == 2


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/videos/a.mp4", "file:///videos/a.mp4"),
        ("/videos/été #1?.mp4", "file:///videos/%C3%A9t%C3%A9%20%231%3F.mp4"),
        ("s3://bucket/videos/a.mp4", "s3://bucket/videos/a.mp4"),
        ("s3://conn_id@bucket/100%/a.mp4", "s3://bucket/100%25/a.mp4"),
        ("GS://bucket/a.mp4", "gs://bucket/a.mp4"),
    ],
)
def test_the_uri_of_a_video(path, uri):
    assert uri_of(path) == uri


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1), min_size=2, max_size=2, unique=True
    )
)
def test_airflow_takes_a_uri_as_it_is_and_two_videos_for_two(names):
    for folder in ("/videos", "s3://bucket/videos"):
        uris = [uri_of(f"{folder}/{name}.mp4") for name in names]
        assert [Asset(uri=uri).uri for uri in uris if len(uri) <= 1500] == [uri for uri in uris if len(uri) <= 1500]
        assert len(set(uris)) == 2
