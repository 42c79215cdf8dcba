"""The check of an image's link, through a proxy of the environment's that wants a password."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from airflow_provider_kling.client import link_problem

LOGIN = "Basic " + base64.b64encode(b"us er:p@ss").decode()


class Proxy(BaseHTTPRequestHandler):
    """Says for each host that there is nothing, to those who have the password."""

    def do_HEAD(self) -> None:
        self.send_error(404 if self.headers["Proxy-Authorization"] == LOGIN else 407)

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[str]:
    """The host and port of a proxy, at an address that is not public, as those of most companies are."""
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("login", "problem"), [("us%20er:p%40ss", "there is nothing at this URL (HTTP 404)"), ("us:p", None)])
def test_a_link_is_checked_through_the_proxy_with_its_password(proxy, monkeypatch, login, problem):
    for name in ("http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://{login}@{proxy}")
    found = link_problem("http://images.example/a.jpg")
    assert (found is None) if problem is None else (problem in str(found))
