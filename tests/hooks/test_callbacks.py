"""Callbacks: read after their signature is verified, refused otherwise."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hook_calls import REQUEST

from airflow_provider_kling import errors

WEBHOOK_SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="


class Receiver(threading.Thread):
    """An HTTP server that receives one callback, and keeps its body and headers as they arrived."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.callbacks.append((body, dict(self.headers)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.callbacks: list = []
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cb"

    def run(self) -> None:
        with self.server:
            self.server.handle_request()


@pytest.mark.kling_emulator(webhook_secret=WEBHOOK_SECRET, duration=600)
def test_a_callback_with_a_valid_signature_is_read(hook, kling, monkeypatch):
    connection = json.loads(kling.connection()) | {"extra": {"webhook_secret": WEBHOOK_SECRET}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    receiver = Receiver()
    receiver.start()
    created = hook.create_task(REQUEST, external_task_id="submission", callback_url=receiver.url)
    receiver.join(timeout=20)
    ((body, headers),) = receiver.callbacks
    task = hook.read_callback(body, headers)
    assert (task.kling_task_id, task.external_task_id) == (created.kling_task_id, "submission")
    with pytest.raises(errors.KlingAnswerError, match="not signed as it should be"):
        hook.read_callback(body + b" ", headers)
    with pytest.raises(errors.KlingAnswerError, match="not signed as it should be"):
        hook.read_callback(body, {**headers, "webhook-signature": "nonsense"})


def test_a_callback_cannot_be_read_without_a_secret(hook, kling):
    with pytest.raises(errors.KlingSettingsError, match="no webhook_secret"):
        hook.read_callback(b"{}", {})
