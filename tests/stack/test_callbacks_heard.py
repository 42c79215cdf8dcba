"""Rows that one DAG asks for and another one saves, on what two API servers hear from Kling, and on what they do not hear."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_api import Run
from callback_signing import SECRET
from places import ROOT
from postman import Postman
from processes import until
from stack import Stack

from airflow_provider_kling.callbacks import end_in
from airflow_provider_kling.emulator import KlingEmulator

PATIENCE = 900  # seconds
SOON = "interval=5, grace=20"  # seconds, where the sample DAG has minutes
HAS_STATE_STORE = (
    importlib.util.find_spec("airflow.state") is not None
)  # since Airflow 3.3; else a sweep repeats what callbacks told
DAGS = ("kling_effects_ask", "kling_effects_on_callback")


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> int:
    """Five times the rows that a fault hits: 40 rows in CI, 200 with `--rows 40`."""
    return 5 * int(request.config.getoption("--rows"))


@pytest.fixture
def postman() -> Iterator[Postman]:
    with Postman(SECRET) as postman:
        yield postman


@pytest.fixture
def hearing(build: Path, postman: Postman, tmp_path: Path) -> Iterator[Stack]:
    """An Airflow with the two DAGs alone, whose sweeps come sooner."""
    dags = tmp_path / "dags"
    dags.mkdir()
    for name in DAGS:
        text = (ROOT / "dags" / f"{name}.py").read_text()
        (dags / f"{name}.py").write_text(text.replace("(kling_conn_id=CONN_ID)", f"(kling_conn_id=CONN_ID, {SOON})"))
    empty = tmp_path / "none"
    empty.mkdir()
    options = {
        "AIRFLOW__KLING__CALLBACK_BASE_URL": postman.url,
        "AIRFLOW_VAR_KLING_ENDED": str(tmp_path / "ended"),
    }
    with Stack(build / "hearing", dags=empty, package_dags=dags, options=options, triggerers=1) as stack:
        stack.log_in_as_admin()
        yield stack


def test_rows_are_saved_whatever_becomes_of_their_callbacks(hearing, postman, tally, build, rows, tmp_path):
    second, url = hearing.another_api_server()
    second.start()
    postman.servers = [hearing.url, url]
    manifest = tmp_path / "manifest.jsonl"
    lines = [{"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg"} for number in range(rows)]
    manifest.write_text("\n".join(map(json.dumps, lines)))
    with KlingEmulator.spawn(slots=rows // 4, duration=8, webhook_secret=SECRET, videos="clip") as kling:
        hearing.connect("kling_default", kling.connection())
        asking = hearing.start_run("kling_effects_ask", {"manifest": str(manifest), "output": str(tmp_path / "out")})
        until("the second server has heard some", lambda: sum(postman.answers.values()) > rows // 2, timeout=PATIENCE)
        second.kill()
        postman_goes_on_with_one = sum(postman.answers.values())
        assert asking.until_done(timeout=PATIENCE) == "success"
        results = tmp_path / "out" / "results.jsonl"

        def all_saved() -> bool:
            return results.exists() and all(json.loads(line)["status"] == "succeed" for line in results.read_text().splitlines())

        until("all rows have their video", all_saved, timeout=PATIENCE, describe=hearing.log_tails)
        ledger = kling.ledger
    assert len(ledger) == rows
    saved = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["id"] for line in saved] == [line["id"] for line in lines]
    assert len({video["path"] for line in saved for video in line["videos"]}) == rows
    assert len(list((tmp_path / "ended" / "videos").glob("*.mp4"))) == rows
    until("no run goes on", lambda: not running(hearing), timeout=PATIENCE)
    ends = events(hearing)
    assert {end["kling_task_id"] for end in ends} == {task["kling_task_id"] for task in ledger}
    if HAS_STATE_STORE:
        assert len(ends) == rows  # one each
    by_callback = sum(end["heard_by"] == "callback" for end in ends)
    assert 0 < by_callback < rows
    assert sum(postman.answers.values()) > postman_goes_on_with_one
    words = {kind: {word for of_kind, word in postman.answers if of_kind == kind} for kind, _ in postman.answers}
    assert words.pop("genuine") <= {"accepted", "repeated", "no-end"}
    assert words.pop("replayed") <= {"accepted", "repeated", "no-end"}
    assert words == {"forged": {"refused"}, "unsigned": {"refused"}, "stale": {"refused"}}
    assert "callback was answered 'refused'" in (hearing.logs / "api-server.log").read_text()
    counted = {" ".join(key): number for key, number in sorted(postman.answers.items())}
    outcome = {"rows": rows, "heard by callback": by_callback, "ends": postman.posted, "answers": counted}
    (build / "callbacks.json").write_text(json.dumps(outcome, indent=1))
    tally.add("callbacks lost, repeated, forged; an API server killed", requests=rows, paid_twice=len(ledger) - rows, lost=0)


def running(stack: Stack) -> list[Run]:
    runs = stack.request("GET", "dags/~/dagRuns", params={"state": ["running", "queued"]})["dag_runs"]
    return [Run(stack, run["dag_id"], run["dag_run_id"]) for run in runs]


def events(stack: Stack) -> list[dict[str, Any]]:
    """The ends in all events of the asset."""
    rows = stack.sql("select extra from asset_event order by id")
    extras = [json.loads(extra) if isinstance(extra, str) else extra for (extra,) in rows]
    return [dict(end) for extra in extras if (end := end_in(extra)) is not None]
