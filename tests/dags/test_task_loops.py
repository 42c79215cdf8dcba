"""Real task loops of Airflow 3.4, with `airflow dags test` against the emulator; and the sample DAG that has one."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow_home import Airflow, migrated
from batch_manifests import results_of, write_rows
from places import ROOT
from task_runs import FakeAirflow

from airflow_provider_kling.plugin.database import find_run, read_records
from airflow_provider_kling.plugin.rows import rows_of_instances
from airflow_provider_kling.plugin.run_row import RunRow
from airflow_provider_kling.reviewing import LIKE, MORE, STOP, answer_of, ask_about, liked_video

HAS_LOOPS = importlib.util.find_spec("airflow.sdk.execution_time.loop") is not None
needs_loops = pytest.mark.skipif(not HAS_LOOPS, reason="Task loops came with Airflow 3.4.")


@needs_loops
@pytest.mark.kling_emulator(duration=0.2, videos="clip")
def test_iterations_of_a_real_loop_pay_for_a_video_each(kling, tmp_path_factory, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection())
    airflow = Airflow(tmp_path_factory.mktemp("airflow"), migrated(tmp_path_factory))
    airflow.dags = Path(__file__).parent / "loops"
    airflow("dags", "test", "looped", "--conf", json.dumps({"manifest": write_rows(tmp_path, 1), "output": str(tmp_path)}))
    with sqlite3.connect(airflow.database) as database:
        query = "select task_id, state, count(*) from task_instance where task_id like 'again.%' group by task_id, state"
        ended = {(task_id.partition(".")[2], state): count for task_id, state, count in database.execute(query)}
    # Four of the five mapped rows are within their cap: two of the first iteration, one of the second, one of the third.
    assert {key: ended[key] for key in ended if key[0] in ("one", "many", "batch")} == {
        ("one", "success"): 3,
        ("many", "success"): 4,
        ("many", "skipped"): 1,
        ("batch", "success"): 3,
    }
    ids = [task["external_task_id"] for task in kling.ledger]
    assert len(ids) == len(set(ids)) == 3 + 4 + 3
    assert sorted(Counter(one[:18] for one in ids).values()) == [1, 1, 1, 1, 1, 1, 1, 1, 2]  # a task and an iteration begin alike
    written = {line["external_task_id"] for number in range(3) for line in results_of(tmp_path / str(number))}
    assert len(written) == 3
    rows = rows_in_the_tab(airflow.database)
    places = [(row.task_id.partition(".")[2], row.iteration, row.map_index) for row in rows]
    singles, mapped = [("one", number, -1) for number in range(3)], [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    assert sorted(places) == sorted([*singles, *(("many", number, index) for number, index in mapped)])
    shown = {row.external_task_id for row in rows if row.external_task_id}
    assert shown == set(ids) - written


def rows_in_the_tab(database: Path) -> list[RunRow]:
    """The rows of the one run in this database, but for those of batches, as the plugin reads them."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import Session

    with Session(create_engine(f"sqlite:///{database}")) as session:
        run = find_run(session, "looped", session.scalars(select(DagRun.run_id)).one())
        assert run is not None
        records = read_records(session, run, list)
        made = [one for one in records.instances if one.task.kind != "batch"]
        return rows_of_instances(made, records.rows_of, run_over=True)


@needs_loops
def test_a_loop_is_in_no_other_loop_and_in_no_mapped_group():
    """`instances` relies on it: within a run, task, map index and iteration tell one task instance from all others."""
    from airflow.sdk import task, task_group

    with DAG("d", schedule=None):

        @task_group
        def inner():
            @task
            def work(*, loop):
                return loop.index

            work()

        @task_group
        def outer(value=None):
            inner.loop(max_iterations=2)

        with pytest.raises(NotImplementedError, match="Nested loops"):
            outer.loop(max_iterations=2)
    with DAG("e", schedule=None), pytest.raises(NotImplementedError, match="mapped task group"):
        outer.expand(value=[1, 2])


# --- kling_effect_until_liked


def sample() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "dags" / "kling_effect_until_liked.py"))


@pytest.mark.skipif(HAS_LOOPS, reason="Airflow has task loops.")
def test_the_sample_says_which_airflow_it_needs(kling):
    dag: DAG = sample()["kling_effect_until_liked"]()
    assert list(dag.task_dict) == ["needs_airflow_3_4"]
    task = dag.get_task("needs_airflow_3_4")
    for name in ("output", "folder"):
        dag.params[name] = task.params[name] = "x"
    run = FakeAirflow(max_tries=2).run(task)
    assert run.state == "failed"
    assert "needs Airflow 3.4" in str(run.error)
    assert not kling.journal


@needs_loops
def test_the_sample_asks_after_each_video_and_pays_for_nothing_without_an_answer():
    dag: DAG = sample()["kling_effect_until_liked"]()
    loop = dag.task_group.get_task_group_dict()["until_liked"]
    assert loop.max_iterations == 5
    video, ask = dag.get_task("until_liked.video"), dag.get_task("until_liked.ask")
    assert video.upstream_task_ids == {"prepare"}  # nothing is paid before there is a place to publish to
    assert ask.upstream_task_ids == {"until_liked.video"}
    assert ask.defaults == [STOP]
    assert video.max_videos == "{{ params.max_videos }}"
    assert "until_liked.answered" in dag.get_task("publish_liked").upstream_task_ids


@needs_loops
@pytest.mark.parametrize(
    ("answer", "index", "most", "stop"),
    [(LIKE, 0, 3, True), (MORE, 0, 3, False), (MORE, 2, 3, True), (MORE, 3, 5, False), (MORE, 4, 5, True), (STOP, 0, 3, True)],
)
def test_the_loop_ends_with_a_liked_video_or_without_money_for_another(answer, index, most, stop):
    class Loop:
        max_iterations = 5
        result = {"chosen_options": [answer]}

    loop = Loop()
    loop.index = index  # type: ignore[attr-defined]
    decision = sample()["answered"](loop=loop, params={"max_videos": most})
    assert decision.stop is stop
    assert decision.reason.startswith(answer)


@pytest.mark.parametrize("options", [None, [], ["Other"], [MORE, LIKE], MORE])
def test_what_is_no_answer_stops(options):
    assert answer_of({"chosen_options": options}) == answer_of(options) == answer_of(None) == STOP


def test_only_the_last_video_can_be_liked():
    results = [{"kling_task_id": "1", "row_id": None}, {"kling_task_id": "2", "row_id": None}]
    liked, more = {"chosen_options": [LIKE]}, {"chosen_options": [MORE]}
    line = liked_video(results, [more, liked])
    assert line is not None
    assert (line["id"], line["kling_task_id"]) == ("2", "2")
    assert liked_video(results, [liked, more]) is None
    assert liked_video([], []) is None


def test_the_question_links_to_the_video_and_renders_nothing_of_it():
    class Task:
        body = ""

    class Run:
        dag_id, run_id = "d", "r"

    def text(url: str, units: str | None = "2.50") -> str:
        asked = Task()
        ask_about({"task": asked, "dag_run": Run(), "params": {}}, {"videos": [{"url": url}], "units": units}, wait="3 days")  # type: ignore[typeddict-item]
        return asked.body

    assert "[Watch it](https://cdn.example.com/a.mp4?x=1)" in text("https://cdn.example.com/a.mp4?x=1")
    assert "It has cost 2.5 units" in text("https://cdn.example.com/a.mp4")
    assert "](x" not in text("https://cdn.example.com/a.mp4) [click](x")
    assert "javascript" not in text("javascript:alert(1)")
    assert "cost" not in text("https://cdn.example.com/a.mp4", None)
