"""`@task.kling_effect` with one request, through Airflow's own task runner, against the emulator."""

from __future__ import annotations

import base64
import inspect
import json
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from decorated_tasks import REQUEST, Video, decorated
from task_runs import URL, FakeAirflow, fire

from airflow_provider_kling.decorators import KlingEffectDecoratedOperator, kling_effect
from airflow_provider_kling.decorators.returned import requests_in
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.operators import KlingEffectOperator

OTHER = {"effect_scene": "squish", "image": URL}


def test_airflow_finds_the_decorator_by_the_providers_metadata():
    with DAG("d", schedule=None):
        found = task.kling_effect(lambda: REQUEST)
    assert found.operator_class is KlingEffectDecoratedOperator
    assert found.multiple_outputs is False


def test_the_task_returns_the_result_of_the_request_that_its_function_returns(airflow, kling):
    def video(scene, run_id=None):
        return {"effect_scene": scene, "image": f"https://example.com/{run_id}.jpg", "row_id": 7}

    assert airflow.finish(decorated(video, "squish")).state == "success"
    (row,) = kling.ledger
    assert (airflow.result["kling_task_id"], airflow.result["status"]) == (row["kling_task_id"], "succeed")
    assert airflow.result["effect_scene"] == "squish"
    assert airflow.rendered["image"] == "https://example.com/scheduled__2026-01-01.jpg"  # what the UI shows
    assert airflow.xcoms["kling_task"]["row_id"] == "7"
    assert {key for key in airflow.xcoms if key.startswith("_link_")} == {"_link_KlingVideoLink"}


def test_the_result_is_one_xcom_whatever_the_functions_annotation_says(airflow, kling):
    def video() -> dict:
        return REQUEST

    assert airflow.finish(decorated(video)).state == "success"
    assert "kling_task_id" not in airflow.xcoms


def test_what_a_request_leaves_out_the_decorator_gives(airflow, kling):
    video = Video({"image": None, "images": [URL, "https://example.com/2.jpg"], "effect_scene": None})
    assert airflow.finish(video.operator(effect_scene="hug_pro", image=URL, wait_for_completion=False)).state == "success"
    assert airflow.result == kling.ledger[0]["kling_task_id"]
    assert (kling.ledger[0]["effect_scene"], len(airflow.rendered["images"])) == ("hug_pro", 2)


@pytest.mark.kling_emulator(slots=1, duration=600, videos="clip")
def test_a_task_that_resumes_does_not_call_its_function_again(airflow, kling, polled_early, tmp_path):
    FakeAirflow(run_id="other").run(Video(REQUEST).operator(wait_for_completion=False))
    video = Video({**REQUEST, "row_id": "a", "columns": {"customer": "Ann"}})
    options = {"deferrable": True, "save_to": str(tmp_path), "file_name": "{customer}-{row_id}-{effect_scene}.mp4"}
    run = airflow.run(video.operator(**options))
    assert run.state == "deferred"
    airflow.rendered.clear()
    kling.configure(duration=0.1)
    kling.finish()
    event = fire(run)
    resumed = Video(OTHER)
    assert airflow.run(resumed.operator(**options), event=event).state == "success"
    assert (video.calls, resumed.calls) == (1, 0)
    (path,) = [one["path"] for one in airflow.result["videos"]]
    assert Path(path).name == "Ann-a-pet_lion_pro.mp4"
    assert airflow.rendered["image"] == URL
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_a_rescheduled_task_asks_again_because_its_image_may_be_on_another_worker(airflow, kling, photo):
    FakeAirflow(run_id="other").run(Video(REQUEST).operator(wait_for_completion=False))
    video = Video({**REQUEST, "image": Path(photo)})
    assert airflow.run(video.operator(deferrable=True)).state == "up_for_reschedule"
    assert (video.calls, len(kling.ledger)) == (1, 1)


def test_an_image_as_base64_is_in_nothing_that_airflow_stores(airflow, kling, polled_early, photo):
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    run = airflow.run(Video({**REQUEST, "image": image}).operator(deferrable=True))
    stored = [run.patch, airflow.xcoms, airflow.rendered]
    assert airflow.run(Video(OTHER).operator(deferrable=True), event=fire(run)).state == "success"
    assert image[:200] not in json.dumps([*stored, airflow.xcoms, airflow.rendered], default=str)
    assert airflow.rendered["image"].startswith("<base64")


# --- Retries and clears


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.kling_emulator(slots=5, duration=600)
def test_a_retry_takes_the_task_of_the_try_before(airflow, kling, deferrable):
    first = Video(REQUEST).operator(wait_for_completion=False)
    airflow.run(first)
    again = FakeAirflow(try_number=2)
    assert again.finish(Video(dict(REQUEST)).operator(deferrable=deferrable, wait_for_completion=False)).state == "success"
    assert again.result == airflow.result
    assert len(kling.ledger) == 1


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("cap", [{}, {"max_videos": 1}], ids=["", "capped"])
def test_a_retry_whose_function_asks_for_something_else_takes_what_is_paid_for(airflow, kling, capsys, deferrable, cap):
    video = Video(REQUEST, OTHER)
    airflow.run(video.operator(wait_for_completion=False, **cap))
    again = FakeAirflow(try_number=2)
    assert again.finish(video.operator(deferrable=deferrable, **cap)).state == "success"
    assert (again.result["kling_task_id"], len(kling.ledger)) == (airflow.result, 1)
    assert again.result["effect_scene"] is None  # only Kling knows what the other try has asked for
    assert f"Kling task {airflow.result} exists and is charged: that one is taken." in capsys.readouterr().out


def test_after_a_clear_the_new_request_counts(airflow, kling):
    video = Video(REQUEST, OTHER)
    airflow.run(video.operator())
    cleared = FakeAirflow(try_number=2, max_tries=1)
    assert cleared.run(video.operator()).state == "success"
    assert [row["effect_scene"] for row in kling.ledger] == ["pet_lion_pro", "squish"]


def test_a_failed_task_does_not_stand_in_for_another_request(airflow, kling):
    kling.fail_next()
    video = Video(REQUEST, OTHER)
    assert airflow.run(video.operator()).state == "failed"
    again = FakeAirflow(try_number=2)
    again.run(video.operator())
    assert [row["effect_scene"] for row in kling.ledger] == ["pet_lion_pro", "squish"]


# --- Mapped


@task
def pets():
    """What it leaves is what the test puts into the XComs."""


def test_a_mapped_function_is_called_for_each_value(kling):
    with DAG("d", schedule=None):

        @task.kling_effect(poll_interval=0.05, map_index_template="{{ task.row_id }}")
        def video(pet, scene):
            return {"effect_scene": scene, "image": pet["photo"], "row_id": pet["id"]}

        operator = video.partial(scene="{{ 'squish' }}").expand(pet=pets()).operator
    left = [{"id": name, "photo": f"https://example.com/{name}.jpg"} for name in ("a", "b")]
    ids = []
    for index in range(2):
        airflow = FakeAirflow(map_index=index, xcoms={"return_value": left})
        assert airflow.finish(operator).state == "success"
        ids.append(airflow.xcoms["kling_task"]["row_id"])
    assert ids == ["a", "b"]
    assert [row["effect_scene"] for row in kling.ledger] == ["squish", "squish"]
    assert len({row["external_task_id"] for row in kling.ledger}) == 2


@pytest.mark.parametrize("expand_kwargs", [False, True])
def test_nothing_from_outside_is_rendered_neither_as_an_argument_nor_as_a_request(kling, expand_kwargs):
    secret = "https://example.com/{{ conn.kling_default.password }}.jpg"
    seen = []
    with DAG("d", schedule=None):

        @task.kling_effect(poll_interval=0.05, wait_for_completion=False)
        def video(image, name):
            seen.append((image, name))
            return {"effect_scene": "squish", "image": image.replace(" ", ""), "row_id": "{{ run_id }}"}

        mapped = video.partial(name="{{ 1 + 1 }}")
        operator = (mapped.expand_kwargs(pets()) if expand_kwargs else mapped.expand(image=pets())).operator
    airflow = FakeAirflow(map_index=0, xcoms={"return_value": [{"image": secret}] if expand_kwargs else [secret]})
    assert airflow.finish(operator).state == "success"
    assert seen == [(secret, "2")]  # what the author wrote is a template
    assert airflow.xcoms["kling_task"]["row_id"] == "{{ run_id }}"
    assert kling.api_key not in json.dumps([kling.ledger, airflow.rendered], default=str)


# --- Mistakes

WANTED = "wanted is a request, a dict like {'effect_scene': 'pet_lion_pro', 'image': url}, or a list of them"
KNOWN = "effect_scene, image, images, row_id, columns, external_task_id, callback_url, fresh and save_to"
FURTHER = "What else a file name or the results are to have belongs into columns."
JSON = "wanted are texts, numbers, true, false and null"
MISTAKES = {
    "nothing": (None, f"video() returned nothing; {WANTED}. To make no video, raise AirflowSkipException."),
    "a text": ("https://x/a.jpg", f"video() returned a str; {WANTED}."),
    "a set": ({"a"}, f"video() returned a set; {WANTED}."),
    "a list of texts": ([REQUEST, "x"], f"video() returned a list whose item 2 is a str; {WANTED}."),
    "a typing error": (
        {"effect_sceen": "squish", "image": URL},
        f"What video() returned has 'effect_sceen'; wanted are {KNOWN}. Did you mean 'effect_scene'?",
    ),
    "a column": (
        {**REQUEST, "shop": 1},
        f"What video() returned has 'shop'; wanted are {KNOWN}. {FURTHER}",
    ),
    "a number as scene": ({**REQUEST, "effect_scene": 5}, "What video() returned: effect_scene is a int; wanted is text."),
    "columns that are no JSON": (
        {**REQUEST, "columns": {"when": b""}},
        f"What video() returned: columns cannot be JSON (Object of type bytes is not JSON serializable); {JSON}.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_anything_but_a_request_is_one_clear_sentence(mistake):
    returned, sentence = MISTAKES[mistake]
    with pytest.raises(KlingInputError) as error:
        requests_in(returned, function="video")
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, f"video() returned nothing; {WANTED}. To make no video, raise AirflowSkipException."),
        ({"effect_scene": "squish"}, "There is no image; wanted is image with one image: a URL, a path, or base64 as text, "),
        ({"image": URL}, "effect_scene is ''; wanted is the name of a scene, like 'pet_lion_pro'."),
    ],
)
def test_a_mistake_costs_nothing_and_no_retry(airflow, kling, returned, sentence):
    run = airflow.run(Video(returned).operator(retries=3))
    assert run.state == "failed"
    assert str(run.error).startswith(sentence)
    assert kling.journal == []


def test_a_function_may_skip_its_task_and_its_errors_stay_its_own(airflow, kling):
    from airflow.providers.common.compat.sdk import AirflowSkipException

    def skips():
        raise AirflowSkipException("no photo today")

    def fails():
        raise ZeroDivisionError

    assert airflow.run(decorated(skips)).state == "skipped"
    assert isinstance(airflow.run(decorated(fails)).error, ZeroDivisionError)
    assert kling.journal == []


def plain():
    return REQUEST


async def asynchronous():
    return REQUEST


def generator():
    yield REQUEST


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (asynchronous, {}, "asynchronous is an async function; @task.kling_effect takes a plain function that returns a request"),
        (generator, {}, "generator is a generator; @task.kling_effect takes a plain function"),
        (plain, {"row": {}}, "row is given to @task.kling_effect; wanted is a function that returns the row."),
        (plain, {"timeout": -1}, "timeout is -1"),
        (plain, {"wait_for_completion": False, "save_to": "x"}, "save_to is given, but this operator only creates"),
        (plain, {"file_name": "{nothing"}, "file_name"),
    ],
)
def test_mistakes_of_the_dag_file_are_found_when_it_is_parsed(function, options, sentence):
    with pytest.raises(KlingInputError) as error:
        decorated(function, **options)
    assert str(error.value).startswith(sentence)


def test_editors_know_the_options_of_the_operator():
    """The options that `kling_effect` names are those of the operator, and their own."""
    import ast

    from airflow_provider_kling.decorators import factory

    tree = ast.parse(inspect.getsource(factory))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "kling_effect"][1]
    options = {argument.arg for argument in named.args.kwonlyargs}
    taken = set(inspect.signature(KlingEffectOperator.__init__).parameters) - {"self", "kwargs", "row"}
    own = set(inspect.signature(KlingEffectDecoratedOperator.__init__).parameters)
    assert options == taken | own - {"self", "kwargs", "python_callable", "op_args", "op_kwargs"} | {"multiple_outputs", "task_id"}
    assert kling_effect(lambda: REQUEST).operator_class is KlingEffectDecoratedOperator
