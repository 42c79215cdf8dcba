"""The services of docker-compose.yaml start as the file says, and turn the demo's manifest into videos."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path

import psutil
import pytest
from compose_stack import ComposeStack
from processes import until

MANIFEST = "/opt/airflow/manifests/manifest.csv"


def ledger(compose_stack: ComposeStack) -> list[dict]:
    with urllib.request.urlopen(f"{compose_stack.emulator_url}/_emulator/ledger", timeout=30) as response:  # noqa: S310
        return json.load(response)


def test_all_services_start_in_the_declared_order(compose_stack: ComposeStack):
    lines = [line.split(maxsplit=3) for line in (compose_stack.folder / "transcript.txt").read_text().splitlines()]
    order = {(container, event): number for number, (_, _, container, event) in enumerate(lines)}
    healthy = {container.rsplit("-", 1)[0] for container, event in order if event == "healthy"}
    assert healthy == set(compose_stack.file.services) - {"airflow-init"}
    assert order["postgres-1", "healthy"] < order["airflow-init-1", "started"]
    assert order["airflow-init-1", "ended with exit code 0"] < order["airflow-apiserver-1", "started"]
    assert order["airflow-apiserver-1", "healthy"] < order["airflow-worker-1", "started"]
    assert len(compose_stack.replicas("airflow-triggerer")) == 2


def test_published_ports_are_reachable_from_this_machine_only(compose_stack: ComposeStack):
    published = {port.published for service in compose_stack.file.services.values() for port in service.ports}
    listening = [each.laddr for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert {address.port for address in listening if address.ip == "127.0.0.1"} >= published
    assert not [address for address in listening if address.port in published and address.ip != "127.0.0.1"]


@pytest.mark.parametrize("dag_id", ["kling_effects_mapped", "kling_effects_batch"])
def test_the_demo_manifest_gives_videos(compose_stack: ComposeStack, dag_id: str):
    before = len(ledger(compose_stack))
    compose_stack.request("PATCH", f"dags/{dag_id}", params={"update_mask": "is_paused"}, json={"is_paused": False})
    run = compose_stack.start_run(dag_id, {"manifest": MANIFEST, "output": f"/opt/airflow/results/{dag_id}"})
    assert run.until_done(timeout=240) == "success"
    lines = [
        json.loads(line)
        for line in (compose_stack.host_path(f"/opt/airflow/results/{dag_id}/results.jsonl")).read_text().splitlines()
    ]
    assert Counter(line["status"] for line in lines) == {"succeed": 15, "invalid": 1}
    videos = [compose_stack.host_path(video["path"]) for line in lines for video in line["videos"] or []]
    assert len(videos) == 15
    assert all(video.stat().st_size > 1000 for video in videos)
    created = ledger(compose_stack)[before:]
    assert len(created) == 15
    assert {task["kling_task_id"] for task in created} == {line["kling_task_id"] for line in lines} - {None}


def test_a_backfill_uses_the_manifest_of_each_date(compose_stack: ComposeStack, manifests: Path):
    dates = {"2026-11-01": 3, "2026-11-03": 2}
    for date, rows in dates.items():
        lines = [f"{date}-{row},squish,images/china.jpg" for row in range(rows)]
        (manifests / f"{date}.csv").write_text("\n".join(["id,effect_scene,image", *lines]) + "\n")
    before = len(ledger(compose_stack))
    compose_stack.airflow("dags", "unpause", "kling_effects_backfill")
    compose_stack.airflow(
        "backfill", "create", "--dag-id", "kling_effects_backfill", "--from-date", "2026-11-01", "--to-date", "2026-11-03"
    )
    query = "select state from dag_run where dag_id = 'kling_effects_backfill' and backfill_id is not null"

    def all_ended() -> bool:
        states = [state for (state,) in compose_stack.sql(query)]
        return len(states) == 3 and set(states) <= {"success", "failed"}

    until("the backfill has ended", all_ended, timeout=200, describe=compose_stack.log_tails, interval=0.5)
    assert {state for (state,) in compose_stack.sql(query)} == {"success"}
    output = compose_stack.host_path("/opt/airflow/results/dates")
    found = {path.parent.name: len(path.read_text().splitlines()) for path in output.glob("*/results.jsonl")}
    assert found == dates
    assert len((output / "results.jsonl").read_text().splitlines()) == 5
    assert len(ledger(compose_stack)) - before == 5


def test_the_log_of_a_task_can_be_read(compose_stack: ComposeStack):
    runs = compose_stack.request("GET", "dags/kling_effects_batch/dagRuns")["dag_runs"]
    assert runs
    path = f"dags/kling_effects_batch/dagRuns/{runs[0]['dag_run_id']}/taskInstances/batch/logs/1"
    content = compose_stack.request("GET", path, params={"full_content": True})["content"]
    assert "batch" in json.dumps(content)


def test_usage_is_measured(compose_stack: ComposeStack):
    usage = compose_stack.usage()
    assert set(usage) == set(compose_stack.file.services) - {"airflow-init"}
    assert all(used.cpu > 0 and used.peak > 1_000_000 for used in usage.values())


def test_replicas_are_added_killed_and_removed(compose_stack: ComposeStack):
    worker, triggerer = compose_stack.replicas("airflow-worker")[0], compose_stack.replicas("airflow-triggerer")[1]
    compose_stack.kill(triggerer)
    compose_stack.kill(worker)
    assert not worker.processes()
    compose_stack.scale("airflow-worker", 2)
    compose_stack.restart(worker)
    compose_stack.restart(triggerer)
    assert not compose_stack.health_problem(compose_stack.replicas("airflow-worker")[1])
    compose_stack.scale("airflow-worker", 1)
    assert compose_stack.replicas("airflow-worker") == [worker]


def test_an_airflow_command_runs_in_a_container(compose_stack: ComposeStack):
    assert "kling_effects_batch" in compose_stack.airflow("dags", "list", "--output", "plain")
