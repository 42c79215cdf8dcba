"""Both transports: the user agent, refused connections, and proxies."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from hook_calls import Caller

from airflow_provider_kling import __version__, errors


def test_the_user_agent_names_the_package_and_its_version(hook, kling):
    hook.list_tasks()
    assert kling.journal[0]["user_agent"] == f"airflow-provider-kling/{__version__}"


def test_a_refused_connection_is_a_clear_error(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv(
        "AIRFLOW_CONN_KLING_DEFAULT", json.dumps({"conn_type": "kling", "password": "k", "host": f"http://127.0.0.1:{port}"})
    )
    for mode in ("sync", "async"):
        with pytest.raises(errors.KlingConnectionError, match=f"No connection to http://127.0.0.1:{port}") as caught:
            Caller(mode).get_task("1")
        assert not caught.value.outcome_unknown


def test_plain_http_behind_https_is_recognized(kling, monkeypatch):
    wrong = json.loads(kling.connection()) | {"host": kling.url.replace("http:", "https:")}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(wrong))
    for mode in ("sync", "async"):
        ok, text = Caller(mode).test_connection()
        assert not ok
        assert "begin the base URL with http://" in text


# --- Proxies


class Proxy(threading.Thread):
    """A proxy that responds to one request, and keeps its first line."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.lines: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def run(self) -> None:
        body = b'{"code":0,"message":"SUCCEED","request_id":"r","data":[]}'
        with self.socket, self.socket.accept()[0] as peer:
            self.lines.append(peer.recv(65536).split(b"\r\n")[0].decode())
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
            peer.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_proxy_of_the_connection_is_used(monkeypatch, mode):
    proxy = Proxy()
    proxy.start()
    connection = {"conn_type": "kling", "password": "k", "host": "http://kling.invalid", "extra": {"proxies": {"http": proxy.url}}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    caller = Caller(mode)
    assert caller.list_tasks() == []
    caller.hook.close()
    proxy.join(timeout=10)
    assert proxy.lines == ["GET http://kling.invalid/v1/videos/effects?pageNum=1&pageSize=30 HTTP/1.1"]


def test_the_environments_proxy_is_used_unless_the_connection_has_one(monkeypatch):
    for mode in ("sync", "async"):
        for own in (False, True):
            proxy = Proxy()
            proxy.start()
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1" if own else proxy.url)
            extra = {"proxies": {"http": proxy.url}} if own else {}
            connection = {"conn_type": "kling", "password": "k", "host": "http://kling.invalid", "extra": extra}
            monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
            caller = Caller(mode)
            assert caller.list_tasks() == []
            caller.hook.close()
            proxy.join(timeout=10)
            assert len(proxy.lines) == 1
