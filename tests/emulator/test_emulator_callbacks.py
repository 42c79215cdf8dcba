"""Callbacks, received by a plain web server and verified with the Standard Webhooks package."""

from __future__ import annotations

import importlib.util
import json
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook

from airflow_provider_kling.api import Task
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.emulator.web.callbacks import sign
from airflow_provider_kling.redaction import show_url

SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="


class Receiver:
    """Puts callbacks into a queue, and answers with the given statuses, then with 200."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.statuses: list[int] = []
        self._came: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    def take(self) -> tuple[dict[str, str], bytes]:
        return self._came.get(timeout=20)

    def tasks(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(self.take()[1]) for _ in range(count)]

    def put(self, headers: dict[str, str], body: bytes) -> int:
        status = self.statuses.pop(0) if self.statuses else 200
        self._came.put((headers, body))
        return status


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.put({name.lower(): value for name, value in self.headers.items()}, body))
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def journal_of(kling: KlingEmulator, count: int) -> list[dict[str, Any]]:
    """The journal's callbacks, once there are `count`: a callback is written down after it was answered."""
    for _ in range(1000):
        if len(entries := kling.requests("callback")) >= count:
            break
        time.sleep(0.01)
    return entries


def test_each_change_of_status_sends_the_bare_task(client, kling, receiver):
    task_id = client.made(external_id="mine", callback_url=receiver.url)
    sent = receiver.tasks(1)
    kling.advance(5)
    sent += receiver.tasks(1)
    kling.advance(5)
    sent += receiver.tasks(1)
    assert [task["task_status"] for task in sent] == ["submitted", "processing", "succeed"]
    assert {task["task_id"] for task in sent} == {task_id}
    assert "code" not in sent[0]
    assert sent[-1]["task_info"] == {"external_task_id": "mine"}
    assert sent[-1]["final_unit_deduction"] == "2.5"
    assert Task.from_json(sent[-1]).videos[0].url.startswith(kling.url)


def test_jump_in_time_sends_every_change(client, kling, receiver):
    client.made(callback_url=receiver.url)
    kling.advance(3600)
    assert {task["task_status"] for task in receiver.tasks(3)} == {"submitted", "processing", "succeed"}


def test_failure_is_sent_with_its_reason(client, kling, receiver):
    client.made(external_id="mine", callback_url=receiver.url)
    receiver.tasks(1)
    kling.fail("mine", "Image pixel is invalid")
    (task,) = receiver.tasks(1)
    assert (task["task_status"], task["task_status_msg"]) == ("failed", "Image pixel is invalid")


@pytest.mark.kling_emulator(manual_clock=False, duration=0.05)
def test_end_is_sent_at_its_time(client, receiver):
    client.made(callback_url=receiver.url)
    assert "succeed" in {task["task_status"] for task in receiver.tasks(3)}


@pytest.mark.kling_emulator(webhook_secret=SECRET)
def test_signature_follows_standard_webhooks(client, receiver):
    client.made(callback_url=receiver.url, scene="let’s_ride")
    headers, body = receiver.take()
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(body.replace(b"submitted", b"succeeded"), headers)


def test_without_a_secret_nothing_is_signed(client, receiver):
    client.made(callback_url=receiver.url)
    headers, _ = receiver.take()
    assert not [name for name in headers if name.startswith("webhook-")]
    assert "authorization" not in headers


def test_vendors_example_gets_the_same_signature():
    body = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'
    headers = sign(SECRET, message_id="9876543210", timestamp=1781080794, body=body)
    assert headers == {
        "webhook-id": "9876543210",
        "webhook-timestamp": "1781080794",
        "webhook-signature": "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
    }


@pytest.mark.kling_emulator(webhook_secret=SECRET)
def test_refused_callback_is_sent_again_under_the_same_id(client, kling, receiver):
    receiver.statuses = [500, 302]
    client.made(callback_url=f"{receiver.url}?token=hidden")
    messages = [receiver.take() for _ in range(3)]
    assert len({headers["webhook-id"] for headers, _ in messages}) == 1
    assert len({body for _, body in messages}) == 1
    entries = journal_of(kling, 3)
    assert [entry["status"] for entry in entries] == [500, 302, 200]
    assert {entry["path"] for entry in entries} == {receiver.url}


def test_callback_without_a_receiver_is_written_down_and_does_no_harm(client, kling):
    task_id = client.made(callback_url="http://127.0.0.1:1/hook")
    assert journal_of(kling, 1)[0]["status"] == 0
    client.made(callback_url="not a url at all")
    assert client.task(task_id)["task_status"] == "submitted"


@pytest.mark.parametrize("secret", ["whsec_***", "whsec_"])
def test_invalid_secret_is_refused(kling, secret):
    with pytest.raises(ValueError, match="webhook_secret"):
        kling.configure(webhook_secret=secret)


def test_secret_without_the_package_to_sign_with_is_refused(kling, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "standardwebhooks" else find(name, *rest))
    with pytest.raises(ValueError, match="standardwebhooks"):
        kling.configure(webhook_secret=SECRET)
    assert kling.advance(1)
    with pytest.raises(ValueError, match="standardwebhooks"), KlingEmulator(webhook_secret=SECRET):
        pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@example.com:8/hook?token=secret#secret", "http://example.com:8/hook"),
        ("http://[bad", "(not a URL)"),
        ("", ""),
    ],
)
def test_url_in_the_journal_has_no_secrets(url, shown):
    assert show_url(url) == shown
