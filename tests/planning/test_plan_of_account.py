"""What a plan learns from accounts, links and lists; and what it says where it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pendulum
import pytest
from planned_manifests import IDENTITY, planned

from airflow_provider_kling.api import Scene, Task
from airflow_provider_kling.caps import RunCap
from airflow_provider_kling.client import link_problem
from airflow_provider_kling.errors import KlingError, KlingSettingsError
from airflow_provider_kling.planning import PlanJob, describe_plan, make_plan, question_of
from airflow_provider_kling.planning.account import durations_of, most_at_once
from airflow_provider_kling.planning.scenes import doubt_about, region_of
from airflow_provider_kling.planning.tally import Cost
from airflow_provider_kling.prices import Observation, Price, PriceBook, fix_price

ROW = {"effect_scene": "squish", "image": "https://example.com/a.jpg"}


def write(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "manifest.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


# --- Pure


def price(units: str | None, low: str | None = "2", high: str | None = "9") -> Price:
    known = [None if value is None else Decimal(value) for value in (units, low, high)]
    return Price(scene="s", units=known[0], source="learned" if units else "unknown", low=known[1], high=known[2])


@pytest.mark.parametrize(
    ("scenes", "known", "unknown", "low", "most"),
    [
        ([(price("2.5"), 4, 0)], "10", 0, "10", "10"),
        ([(price("2.5"), 4, 1)], "10", 0, "7.5", "10"),
        ([(price("2.5"), 4, 0), (price(None), 2, 0)], "10", 2, "14", "28"),
        ([(price(None, None, None), 2, 0)], "0", 2, None, None),
        ([(price(None, None, None), 0, 0), (price("3"), 1, 0)], "3", 0, "3", "3"),
    ],
)
def test_a_cost_is_known_or_a_range_and_never_made_up(scenes, known, unknown, low, most):
    cost = Cost.of(scenes)
    assert (cost.known, cost.unknown) == (Decimal(known), unknown)
    assert (cost.low, cost.at_most) == tuple(None if value is None else Decimal(value) for value in (low, most))


def test_a_scene_of_another_region_is_doubtful():
    known = {
        "here": Scene(name="here", images=1, regions=("Singapore", "Beijing"), state="current"),
        "there": Scene(name="there", images=1, regions=("Beijing",), state="current"),
    }
    singapore = frozenset({"Singapore"})
    assert doubt_about("here", 1, singapore, known) is None
    assert "not in the list of Singapore" in str(doubt_about("there", 1, singapore, known))
    assert doubt_about("there", 1, frozenset(), known) is None  # the host tells no region
    assert doubt_about("there", 1, frozenset({"Mars"}), known) is None  # for which there is no list
    assert "is not among the" in str(doubt_about("squizh", 1, singapore, known))
    assert region_of("https://api-beijing.klingai.com/x") == "Beijing"
    assert region_of("http://127.0.0.1:8900") is None


def task(start: float, end: float | None) -> Task:
    at = pendulum.datetime(2026, 11, 26)
    times = {"created_at": at.add(seconds=start), "updated_at": at.add(seconds=end or start)}
    return Task(kling_task_id="1", status="processing" if end is None else "succeed", **times)


def test_a_list_tells_how_many_tasks_ran_at_once_and_how_long():
    tasks = [task(0, 10), task(5, 12), task(10, 30), task(11, None)]
    assert most_at_once(tasks) == 3
    assert durations_of(tasks) == [10, 7, 20]


# --- With an account


@pytest.mark.kling_emulator(slots=4, duration=30, manual_clock=True, pack=("p=12",), costs_interval=0.0)
def test_the_account_tells_time_slots_and_balance(kling, tmp_path):
    from airflow_provider_kling.hooks import KlingHook

    with KlingHook() as hook:
        for number in range(4):
            hook.create_task(effect_scene="squish", image=f"https://example.com/{number}.jpg")
        kling.advance(31)
        manifest = write(tmp_path, *[ROW] * 9)
        fix_price(str(tmp_path / "out" / "prices.json"), "squish", "2.5")
        plan, _ = planned(tmp_path, manifest, kling_conn_id="kling_default")
    assert plan["time"] == {
        "seconds": 90,
        "slots": 4,
        "slots_from": "most that ran at once",
        "seconds_per_video": 30,
        "tasks_measured": 4,
        "running_now": 0,
    }
    assert (plan["balance"], plan["balance_enough"]) == ("2", False)
    text = "\n".join(describe_plan(plan))
    assert "Cost: 22.5 units." in text
    assert "the packs hold 2 units: that is too little" in text
    assert "30 s a video (median of 4 tasks), 4 slots (most that ran at once)" in text
    assert len(kling.ledger) == 4


@pytest.mark.kling_emulator(duration=0, costs_interval=0.0)
def test_what_cannot_be_asked_for_now_is_a_note_and_a_wrong_connection_an_error(kling, tmp_path, monkeypatch):
    manifest = write(tmp_path, ROW)
    kling.fault(500, on="costs", times=1)
    plan, _ = planned(tmp_path, manifest, kling_conn_id="kling_default")
    assert any("the balance could not be read" in note for note in plan["notes"])
    assert (plan["balance"], plan["balance_enough"]) == (None, None)
    with pytest.raises(KlingSettingsError, match="'nobody' is not defined"):
        planned(tmp_path, manifest, kling_conn_id="nobody")
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps({"conn_type": "kling", "password": "no-such-key", "host": kling.url}))
    with pytest.raises(KlingError, match="1002"):
        planned(tmp_path, manifest, kling_conn_id="wrong")


@pytest.mark.kling_emulator(duration=1000)
def test_running_tasks_of_the_run_are_made_already(kling, tmp_path):
    from airflow_provider_kling.api import EffectRequest
    from airflow_provider_kling.client import external_id_of
    from airflow_provider_kling.hooks import KlingHook

    request = EffectRequest("squish", [ROW["image"]])
    dag_id, run_id, task_id = IDENTITY
    external_id = external_id_of(request, dag_id=dag_id, run_id=run_id, task_id=task_id, place="mine")
    with KlingHook() as hook:
        hook.create_task(request, external_task_id=external_id)
    manifest = write(tmp_path, {"id": "mine", **ROW}, {"id": "other", **ROW})
    plan, rows = planned(tmp_path, manifest, kling_conn_id="kling_default", identity=IDENTITY)
    assert {row["id"]: row["state"] for row in rows.values()} == {"mine": "made", "other": "make"}
    assert (plan["videos"], plan["counts"]["made"]) == (1, 1)
    assert planned(tmp_path, manifest, kling_conn_id="kling_default", identity=("d", "another run", task_id))[0]["videos"] == 2


# --- Without one


def test_a_cap_shows_which_rows_it_leaves_out(tmp_path):
    manifest = write(tmp_path, {"id": "bad", "effect_scene": "squish"}, *[ROW] * 4)
    fix_price(str(tmp_path / "out" / "prices.json"), "squish", "2.5")
    for cap in (RunCap.of(2, None), RunCap.of(None, "7")):
        plan, rows = planned(tmp_path, manifest, cap=cap)
        assert [row["state"] for row in rows.values()] == ["invalid", "make", "make", "capped", "capped"]
        assert (plan["cost"]["known"], plan["kinds"]) == ("5", {"capped": 2, "request": 1})


def test_a_plan_stays_small_however_bad_its_manifest_is(tmp_path):
    manifest = write(tmp_path, *({"effect_scene": f"x{number}" + "y" * 90, "image": "gone.jpg"} for number in range(900)))
    plan = make_plan(PlanJob(manifest=manifest), log=print)
    assert (len(plan["problems"]), plan["more_problems"]) == (100, 800)
    assert (len(plan["scenes"]), plan["more_scenes"]) == (500, 400)
    assert len(json.dumps(plan)) < 500_000
    assert len(question_of(plan)) < 20_000


def test_a_shard_has_its_own_plan_and_images_need_not_be_opened(tmp_path):
    manifest = write(tmp_path, *[{**ROW, "image": "gone.jpg"}] * 7)
    assert make_plan(PlanJob(manifest=manifest, shard="1/3"), log=print)["counts"]["invalid"] == 3
    plan = make_plan(PlanJob(manifest=manifest, shard="1/3", check_images=False), log=print)
    assert (plan["videos"], plan["notes"][0]) == (3, "Images were not opened.")


def test_a_price_that_was_seen_long_ago_is_shown_with_its_day(tmp_path):
    seen = Observation("squish", Decimal(2), pendulum.datetime(2026, 1, 2))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prices.json").write_text(PriceBook().learn([seen], now=pendulum.datetime(2026, 2, 1)).to_text())
    plan, _ = planned(tmp_path, write(tmp_path, ROW, {**ROW, "effect_scene": "emoji"}))
    prices = {scene["effect_scene"]: (scene["price"], scene["price_seen"], scene["price_text"]) for scene in plan["scenes"]}
    assert prices["squish"] == ("2", "2026-01-02", "2 units, last seen on 2026-01-02")
    assert prices["emoji"] == (None, None, "unknown; the known ones are 2 units")


# --- Links


class _Images(BaseHTTPRequestHandler):
    """Answers by path: /200/image/jpeg, /404, /signed refuses the head alone, /302 to the first one, /loop to itself."""

    def do_HEAD(self) -> None:
        self._answer(403 if self.path.startswith("/signed") else 200)

    def do_GET(self) -> None:
        self._answer(206)

    def _answer(self, good: int) -> None:
        kind, _, rest = self.path[1:].partition("?")[0].partition("/")
        moved = {"302": "/ok/image/png", "loop": "/loop", "nowhere": ""}.get(kind)
        self.send_response(302 if moved is not None else int(kind) if kind.isdigit() else good)
        if moved:
            self.send_header("Location", moved)
        self.send_header("Content-Type", rest or "image/jpeg")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def images() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Images) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/ok/image/jpeg", None),
        ("/ok/application/octet-stream", None),
        ("/signed/image/png", None),
        ("/302", None),
        ("/500", None),
        ("/404", "there is nothing at this URL (HTTP 404)"),
        ("/403", "may not be read (HTTP 403)"),
        ("/ok/text/html;charset=utf-8", "leads to text/html; wanted is a JPEG or PNG"),
        ("/ok/image/webp", "leads to image/webp"),
        ("/loop", "redirected more than"),
        ("/nowhere", "leads nowhere"),
    ],
)
def test_a_links_head_tells_what_kling_would_find(images, path, problem):
    found = link_problem(f"{images}{path}?X-Amz-Signature=secret", allow_private=True)
    assert (found is None) if problem is None else (problem in str(found))
    assert "secret" not in str(found)


def test_a_private_address_is_not_asked_and_a_dead_one_proves_nothing(images):
    assert "nowhere that Kling can reach" in str(link_problem(f"{images}/ok"))
    assert link_problem("http://127.0.0.1:9/a.jpg", allow_private=True) is None


def test_links_are_asked_for_only_if_wished(images, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_KLING_DEFAULT",
        json.dumps({"conn_type": "kling", "password": "key", "host": images, "extra": {"allow_private_links": True}}),
    )
    manifest = write(tmp_path, {**ROW, "image": f"{images}/404"}, {**ROW, "image": f"{images}/ok/image/png"})
    assert make_plan(PlanJob(manifest=manifest), log=print)["videos"] == 2
