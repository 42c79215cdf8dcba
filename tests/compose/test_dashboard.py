"""Every query of the Grafana dashboard, evaluated by a real Prometheus over the metrics that real runs have sent."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from places import ROOT
from statsd_exporter import exposed, metric_of
from statsd_listener import Sample, airflow_metrics, listening, settings_of
from task_runs import FakeAirflow, operator

from airflow_provider_kling.dispatch import schedule
from airflow_provider_kling.metrics import METRICS
from airflow_provider_kling.plugin.receiver import Receiver

MAPPINGS = yaml.safe_load((ROOT / "docker/metrics/statsd-mapping.yaml").read_text())["mappings"]
RULES = yaml.safe_load((ROOT / "docker/metrics/alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "docker/grafana/dashboards/kling.json").read_text())
KINDS = {"counter": "c", "gauge": "g", "timer": "ms"}
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
PATIENCE = 60.0  # seconds until Prometheus must have read what was exposed


def in_prometheus(metric) -> str:
    return metric_of(Sample(metric.name.removeprefix("kling."), 1.0, KINDS[metric.kind], ()), MAPPINGS)[0]


@pytest.fixture(scope="module")
def exporter():
    """A page of metrics, which a test sets."""

    class Handler(BaseHTTPRequestHandler):
        page = ""

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(Handler.page.encode())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Handler.port = server.server_port
        yield Handler
        server.shutdown()


class Prometheus:
    """A server with the configuration of the Compose file, which reads the exporter each second."""

    def __init__(self, folder, target: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = yaml.safe_load((ROOT / "docker/metrics/prometheus.yaml").read_text())
        config["global"]["scrape_interval"] = "1s"
        (job,) = config["scrape_configs"]
        assert job["static_configs"] == [{"targets": ["statsd-exporter:9102"]}]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        (rules,) = config["rule_files"]
        shutil.copy(ROOT / "docker/metrics" / rules, folder)
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stderr=(folder / "log").open("w"),
        )  # fmt: skip

    def query(self, expression: str) -> list[dict]:
        return self.get(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]

    def rules(self) -> list[dict]:
        """The groups of rules that it has loaded."""
        return self.get("rules")["groups"]

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def wait_for(self, expression: str) -> None:
        """Wait until the query has a result."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if self.query(expression):
                    return
            except OSError:
                assert self.process.poll() is None
            assert time.monotonic() < end, expression
            threading.Event().wait(0.2)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, exporter):
    if not shutil.which("prometheus"):
        pytest.skip("Debian's package prometheus is not installed")
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), exporter.port)
    yield server
    server.process.terminate()
    server.process.wait()


def run_all(kling, monkeypatch, folder) -> list[Sample]:
    """Runs that make each metric. Returns what they have sent."""
    monkeypatch.setattr(schedule, "FIRST_POLL", 0.1)
    kling.configure(videos="clip", duration=0.2, jitter=0)
    with listening() as statsd, airflow_metrics(settings_of(statsd.port)):
        kling.fault(1303, on="create", times=1)
        video = operator(wait_for_completion=True, save_to=str(folder), deferrable=True)
        assert FakeAirflow().finish(video).state == "success"
        assert FakeAirflow(try_number=2, max_tries=1).finish(video).state == "success"  # cleared: it adopts
        kling.fail_next("Internal trouble", times=1)
        FakeAirflow(run_id="second").finish(operator(task_id="failing", wait_for_completion=True))
        assert asyncio.run(Receiver().receive("kling_default", {}, b"{}")).status == 401
        return statsd.read()


def test_each_query_has_a_result_in_a_real_prometheus(kling, monkeypatch, tmp_path, exporter, prometheus):
    samples = run_all(kling, monkeypatch, tmp_path)
    assert {sample.name for sample in samples} == {metric.name.removeprefix("kling.") for metric in METRICS}
    exporter.page = exposed(samples, MAPPINGS)
    prometheus.wait_for("kling_done_total == 1")
    exporter.page = exposed([*samples, *samples], MAPPINGS)  # the same again, so that there are rates
    prometheus.wait_for("increase(kling_done_total[1m]) > 0")
    for title, expression in QUERIES:
        filled = expression.replace("$__rate_interval", "1m").replace("$__range", "1m")
        filled = filled.replace("$conn_id", ".*").replace("$scene", ".*")
        assert "$" not in filled, title
        results = prometheus.query(filled)
        assert results, f"{title}: {filled} finds nothing"
        assert all(result["value"][1] != "NaN" for result in results), f"{title}: {filled}"


def test_prometheus_loads_the_rules_of_the_ten_things_to_watch(prometheus):
    prometheus.wait_for("vector(1)")
    (group,) = prometheus.rules()
    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in RULES]
    known = {in_prometheus(metric) for metric in METRICS}
    for rule in RULES:
        prometheus.query(rule["expr"])  # raises for a mistake
        assert {name.removesuffix("_bucket") for name in re.findall(r"kling_\w+", rule["expr"])} <= known


def test_rules_fire_after_runs_that_failed(kling, monkeypatch, tmp_path, exporter, prometheus):
    samples = run_all(kling, monkeypatch, tmp_path)
    exporter.page = exposed(samples, MAPPINGS)
    prometheus.wait_for("kling_failed_total > 0")
    exporter.page = exposed([*samples, *samples], MAPPINGS)
    (failures,) = [rule["expr"] for rule in RULES if rule["alert"] == "KlingManyFailures"]
    prometheus.wait_for(failures.replace("[1h]", "[1m]"))


def test_the_dashboard_shows_every_metric_and_no_other():
    used = {name for _, query in QUERIES for name in re.findall(r"kling_\w+(?=\{)", query)}
    assert {name.removesuffix("_bucket") for name in used} == {in_prometheus(metric) for metric in METRICS}


def test_the_dashboard_is_one_that_grafana_loads():
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("kling", "Kling")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    named = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) - {"__rate_interval", "__range"}
    assert named <= variables
    source = yaml.safe_load((ROOT / "docker/grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    assert DASHBOARD["templating"]["list"][0]["current"]["value"] == source["uid"]
    taken = [
        (x, y)
        for grid in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
