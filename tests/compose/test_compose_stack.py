"""The services of docker-compose.yaml come up as the file says, and turn the demo's manifest into videos."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path

import psutil
import pytest
from composed import Composed
from processes import until

MANIFEST = "/opt/airflow/manifests/manifest.csv"


def ledger(composed: Composed) -> list[dict]:
    with urllib.request.urlopen(f"{composed.emulator_url}/_emulator/ledger", timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def test_all_services_come_up_in_their_order(composed: Composed):
    lines = [line.split(maxsplit=3) for line in (composed.folder / "transcript.txt").read_text().splitlines()]
    moment = {(who, what): number for number, (_, _, who, what) in enumerate(lines)}
    healthy = {who.rsplit("-", 1)[0] for who, what in moment if what == "healthy"}
    assert healthy == set(composed.file.services) - {"airflow-init"}
    assert moment["postgres-1", "healthy"] < moment["airflow-init-1", "started"]
    assert moment["airflow-init-1", "ended with exit code 0"] < moment["airflow-apiserver-1", "started"]
    assert moment["airflow-apiserver-1", "healthy"] < moment["airflow-worker-1", "started"]
    assert len(composed.replicas("airflow-triggerer")) == 2


def test_only_this_machine_reaches_the_published_ports(composed: Composed):
    published = {port.published for service in composed.file.services.values() for port in service.ports}
    listening = [one.laddr for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert {address.port for address in listening if address.ip == "127.0.0.1"} >= published
    assert not [address for address in listening if address.port in published and address.ip != "127.0.0.1"]


@pytest.mark.parametrize("dag_id", ["kling_effects_mapped", "kling_effects_batch"])
def test_the_demo_becomes_videos(composed: Composed, dag_id: str):
    before = len(ledger(composed))
    composed.ask("PATCH", f"dags/{dag_id}", params={"update_mask": "is_paused"}, json={"is_paused": False})
    run = composed.run(dag_id, {"manifest": MANIFEST, "output": f"/opt/airflow/results/{dag_id}"})
    assert run.until_done(timeout=240) == "success"
    lines = [
        json.loads(line) for line in (composed.inside(f"/opt/airflow/results/{dag_id}/results.jsonl")).read_text().splitlines()
    ]
    assert Counter(line["status"] for line in lines) == {"succeed": 15, "invalid": 1}
    videos = [composed.inside(video["path"]) for line in lines for video in line["videos"] or []]
    assert len(videos) == 15
    assert all(video.stat().st_size > 1000 for video in videos)
    made = ledger(composed)[before:]
    assert len(made) == 15
    assert {task["kling_task_id"] for task in made} == {line["kling_task_id"] for line in lines} - {None}


def test_a_backfill_takes_the_manifest_of_each_date(composed: Composed, manifests: Path):
    dates = {"2026-11-01": 3, "2026-11-03": 2}
    for date, rows in dates.items():
        lines = [f"{date}-{row},squish,images/china.jpg" for row in range(rows)]
        (manifests / f"{date}.csv").write_text("\n".join(["id,effect_scene,image", *lines]) + "\n")
    before = len(ledger(composed))
    composed.airflow("dags", "unpause", "kling_effects_backfill")
    composed.airflow(
        "backfill", "create", "--dag-id", "kling_effects_backfill", "--from-date", "2026-11-01", "--to-date", "2026-11-03"
    )
    query = "select state from dag_run where dag_id = 'kling_effects_backfill' and backfill_id is not null"

    def ended() -> bool:
        states = [state for (state,) in composed.sql(query)]
        return len(states) == 3 and set(states) <= {"success", "failed"}

    until("the backfill has ended", ended, timeout=200, told=composed.tails, every=0.5)
    assert {state for (state,) in composed.sql(query)} == {"success"}
    output = composed.inside("/opt/airflow/results/dates")
    found = {path.parent.name: len(path.read_text().splitlines()) for path in output.glob("*/results.jsonl")}
    assert found == dates
    assert len((output / "results.jsonl").read_text().splitlines()) == 5
    assert len(ledger(composed)) - before == 5


def test_the_log_of_a_task_can_be_read(composed: Composed):
    runs = composed.ask("GET", "dags/kling_effects_batch/dagRuns")["dag_runs"]
    assert runs
    path = f"dags/kling_effects_batch/dagRuns/{runs[0]['dag_run_id']}/taskInstances/batch/logs/1"
    content = composed.ask("GET", path, params={"full_content": True})["content"]
    assert "batch" in json.dumps(content)


def test_usage_is_measured(composed: Composed):
    usage = composed.usage()
    assert set(usage) == set(composed.file.services) - {"airflow-init"}
    assert all(one.cpu > 0 and one.peak > 1_000_000 for one in usage.values())


def test_replicas_come_and_go(composed: Composed):
    worker, triggerer = composed.replicas("airflow-worker")[0], composed.replicas("airflow-triggerer")[1]
    composed.kill(triggerer)
    composed.kill(worker)
    assert not worker.processes()
    composed.scale("airflow-worker", 2)
    composed.restart(worker)
    composed.restart(triggerer)
    assert not composed.ill(composed.replicas("airflow-worker")[1])
    composed.scale("airflow-worker", 1)
    assert composed.replicas("airflow-worker") == [worker]


def test_a_command_of_airflow(composed: Composed):
    assert "kling_effects_batch" in composed.airflow("dags", "list", "--output", "plain")
