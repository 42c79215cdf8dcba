"""`callback_url="auto"`: the address of the receiver, for the account in which a task is created."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hook_calls import REQUEST
from task_runs import operator

from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.hooks import KlingHook


class Gateway(threading.Thread):
    """An HTTP server where Kling would reach Airflow; it keeps the paths of the requests."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.paths: list[str] = []
        self.called = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                gateway.paths.append(self.path)
                gateway.called.set()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def run(self) -> None:
        self.server.serve_forever(0.01)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    started = Gateway()
    started.start()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("path", ["", "/airflow/"])
def test_kling_calls_the_receiver_of_the_connection(airflow, kling, gateway, monkeypatch, deferrable, path):
    monkeypatch.setenv("AIRFLOW__KLING__CALLBACK_BASE_URL", gateway.url + path)
    assert airflow.finish(operator(callback_url="auto", deferrable=deferrable)).state == "success"
    assert gateway.called.wait(60)
    assert set(gateway.paths) == {f"{path.rstrip('/')}/kling/callbacks/kling_default"}


def test_the_hook_knows_it_too(kling, gateway, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__CALLBACK_BASE_URL", gateway.url)
    with KlingHook() as hook:
        hook.create_task(REQUEST, external_task_id="one", callback_url="auto")
    assert gateway.called.wait(60)


@pytest.mark.parametrize("base", ["", "airflow.example.com", "ftp://airflow.example.com", "https://airflow.example.com?a=b"])
def test_without_an_address_nothing_is_sent(airflow, kling, monkeypatch, base):
    monkeypatch.setenv("AIRFLOW__KLING__CALLBACK_BASE_URL", base)
    run = airflow.run(operator(callback_url="auto", retries=2))
    assert run.state == "failed"
    assert "callback_url is 'auto', and [kling] callback_base_url is" in str(run.error)
    assert kling.ledger == []
    with KlingHook() as hook, pytest.raises(KlingSettingsError, match="wanted is the URL at which Kling reaches"):
        hook.create_task(REQUEST, external_task_id="one", callback_url="auto")
