"""Callbacks: read after their signature is verified, refused otherwise."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from callback_signing import NEXT_SECRET, OTHER_SECRET, SECRET as WEBHOOK_SECRET, VECTOR, VECTOR_SIGNATURE, signature, signed
from hook_calls import REQUEST

from airflow_provider_kling import errors
from airflow_provider_kling.hooks import KlingHook


@pytest.fixture
def hook_with(monkeypatch):
    """Makes a hook whose connection has these extras."""

    def make(**extra):
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps({"conn_type": "kling", "password": "k", "extra": extra}))
        return KlingHook()

    return make


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


def test_the_signature_is_the_one_of_the_vendors_example():
    assert signature(WEBHOOK_SECRET, VECTOR, "9876543210", 1781080794) == VECTOR_SIGNATURE


@pytest.mark.parametrize(
    "secrets",
    [
        pytest.param(f"{WEBHOOK_SECRET} {NEXT_SECRET}", id="blank"),
        pytest.param(f"{WEBHOOK_SECRET},\n{NEXT_SECRET}", id="comma"),
        pytest.param([WEBHOOK_SECRET, NEXT_SECRET], id="list"),
    ],
)
def test_while_a_secret_rotates_both_count(hook_with, secrets):
    hook = hook_with(webhook_secret=secrets)
    for used in ([WEBHOOK_SECRET], [NEXT_SECRET], [OTHER_SECRET, NEXT_SECRET], [NEXT_SECRET, WEBHOOK_SECRET]):
        assert hook.read_callback(VECTOR, signed(VECTOR, *used)).kling_task_id == "1234567890"
    with pytest.raises(errors.KlingAnswerError, match="not signed as it should be"):
        hook.read_callback(VECTOR, signed(VECTOR, OTHER_SECRET))


def test_a_signature_that_cannot_be_read_does_not_hide_one_that_is_right(hook_with):
    headers = signed(VECTOR, WEBHOOK_SECRET)
    headers["Webhook-Signature"] = f"nonsense v1a,x v1,= {headers['Webhook-Signature']}"
    assert hook_with(webhook_secret=WEBHOOK_SECRET).read_callback(VECTOR, headers).succeeded


@pytest.mark.parametrize("age", [301, -310])
def test_a_signature_of_another_time_does_not_count(hook_with, age):
    with pytest.raises(errors.KlingAnswerError, match="timestamp too"):
        hook_with(webhook_secret=WEBHOOK_SECRET).read_callback(VECTOR, signed(VECTOR, WEBHOOK_SECRET, age=age))


def test_what_is_unsigned_counts_only_if_the_connection_says_so(hook_with):
    with pytest.raises(errors.KlingAnswerError, match="not signed"):
        hook_with(webhook_secret=WEBHOOK_SECRET).read_callback(VECTOR, {})
    assert hook_with(accept_unsigned_callbacks=True).read_callback(VECTOR, {}).succeeded
    both = hook_with(webhook_secret=WEBHOOK_SECRET, accept_unsigned_callbacks="yes")
    assert both.read_callback(VECTOR, {}).succeeded
    with pytest.raises(errors.KlingAnswerError, match="not signed as it should be"):  # a wrong signature is a forgery
        both.read_callback(VECTOR, signed(VECTOR, OTHER_SECRET))


def test_a_callback_may_have_the_shape_of_the_newer_apis(hook_with):
    newer = {
        "id": "77",
        "status": "succeeded",
        "message": "",
        "create_time": 1781080778802,
        "update_time": 1781080794151,
        "external_id": "row-7",
        "outputs": [
            {"type": "image", "id": "1", "url": "https://cdn.example/cover.png"},
            {"type": "video", "id": "2", "url": "https://cdn.example/v.mp4", "watermark_url": "", "duration": "5.1"},
        ],
        "billing": [],
    }
    task = hook_with(accept_unsigned_callbacks=True).read_callback(json.dumps(newer).encode(), {})
    assert (task.kling_task_id, task.external_task_id, task.status, task.updated_at.year) == ("77", "row-7", "succeed", 2026)
    assert [(video.url, video.duration) for video in task.videos] == [("https://cdn.example/v.mp4", 5.1)]
