"""Which proxy a request goes through: one definition, for both transports."""

from __future__ import annotations

import json
import socket

import pytest
from drivers import CREATE, save, send
from hostile import HostileKling, status

from airflow_provider_kling import errors
from airflow_provider_kling.client.proxies import is_excluded, proxy_for
from airflow_provider_kling.emulator import KlingEmulator

MODES = pytest.mark.parametrize("mode", ["sync", "async"])
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server():
    with HostileKling() as kling:
        yield kling


@pytest.fixture
def closed() -> str:
    """The URL of a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def connection(host: str = "http://kling.invalid", **extra: object) -> str:
    return json.dumps({"conn_type": "kling", "host": host, "password": "k", "extra": extra})


# --- NO_PROXY


@pytest.mark.parametrize(
    ("no_proxy", "url", "excluded"),
    [
        ("*", "http://kling.example", True),
        ("kling.example", "http://kling.example", True),
        ("Kling.Example", "http://KLING.example.", True),
        ("kling.example", "http://api.kling.example", True),
        (".kling.example", "http://kling.example", True),
        ("*.kling.example", "http://api.kling.example", True),
        ("kling.example", "http://notkling.example", False),
        ("other.example kling.example", "http://kling.example", True),
        ("other.example, kling.example", "http://kling.example", True),
        ("kling.example:8443", "https://kling.example:8443", True),
        ("kling.example:8443", "https://kling.example", False),
        ("kling.example:443", "https://kling.example", True),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("10.1.2.3:80", "http://10.1.2.3", True),
        ("1.2.3", "http://10.1.2.3", False),
        ("10.0.0.0/8", "http://10.1.2.3:8900", True),
        ("10.1.2.3/8", "http://10.200.0.1", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]", True),
        ("10.0.0.0/8", "http://10.example", False),
        ("fd00::/8", "http://[fd00::1]:8900", True),
        ("[fd00::1]:8900", "http://[fd00::1]:8900", True),
        ("fd00::1", "http://[fd00::1]", True),
        ("10.0.0.0/99", "http://10.1.2.3", False),
        ("", "http://kling.example", False),
        ("", "http://127.0.0.1:8900", True),
        ("", "http://127.200.0.1", True),
        ("", "http://localhost:8900", True),
        ("", "http://[::1]:8900", True),
    ],
)
def test_the_hosts_that_no_proxy_excludes(no_proxy, url, excluded):
    assert is_excluded(url, no_proxy) is excluded


@MODES
def test_a_network_in_no_proxy_is_reached_directly(server, closed, mode, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", closed)
    host = server.url.replace("127.0.0.1", "0.0.0.0")  # this machine, by no loopback address
    with pytest.raises(errors.KlingConnectionError, match="through the proxy"):
        send(mode, connection(host), CREATE)
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,0.0.0.0/8")
    assert send(mode, connection(host), CREATE).status == "submitted"


def test_no_proxy_is_used_for_a_host_that_the_environment_excludes(hook, closed, monkeypatch):
    monkeypatch.setenv("http_proxy", closed)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert hook.list_tasks() == []


# --- The environment's proxies


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"HTTP_PROXY": "http://one:1"}, ("http://one:1", "HTTP_PROXY")),
        ({"http_proxy": "one:1"}, ("http://one:1", "HTTP_PROXY")),
        ({"HTTP_PROXY": "http://one:1", "http_proxy": ""}, None),
        ({"HTTPS_PROXY": "http://one:1"}, None),
        ({"ALL_PROXY": "one:1"}, ("http://one:1", "ALL_PROXY")),
        ({"ALL_PROXY": "socks5://one:1", "HTTP_PROXY": "two:2"}, ("http://two:2", "HTTP_PROXY")),
    ],
)
def test_the_proxy_of_the_environment(variables, proxy, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for({}, "http://kling.example") == proxy


@MODES
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_without_a_scheme_is_used_by_both_transports(server, mode, variable, monkeypatch):
    monkeypatch.setenv(variable, server.url.removeprefix("http://"))
    assert send(mode, connection(), CREATE).status == "submitted"
    assert server.requests[0].target.startswith("http://kling.invalid/")


@MODES
def test_a_proxy_of_the_connection_needs_no_scheme(server, mode):
    assert send(mode, connection(proxies=server.url.removeprefix("http://")), CREATE).status == "submitted"
    assert server.requests[0].target.startswith("http://kling.invalid/")


@MODES
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_socks_proxy_is_an_error_of_the_settings(server, mode, variable, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, server.url.replace("http", "socks5h"))
    text = f"{variable} is socks5h://.*; wanted is an HTTP proxy like .* SOCKS proxies are not supported"
    with pytest.raises(errors.KlingSettingsError, match=text):
        send(mode, connection(), CREATE, tries=5)
    with pytest.raises(errors.KlingSettingsError, match=text):
        save(mode, connection(), "http://videos.example/1.mp4", tmp_path)
    assert server.requests == []


# --- No proxy


@MODES
@pytest.mark.parametrize("none", ["none", False, {"http": ""}])
def test_a_connection_can_do_without_the_environments_proxy(server, closed, mode, none, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", closed)
    host = server.url.replace("127.0.0.1", "0.0.0.0")
    assert send(mode, connection(host, proxies=none), CREATE).status == "submitted"


@MODES
def test_the_emulator_is_never_reached_through_a_proxy(closed, mode, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, closed)
    with KlingEmulator() as kling:
        shipped = json.loads(kling.connection())
        assert send(mode, json.dumps(shipped), CREATE).status == "submitted"
        shipped["host"] = shipped["host"].replace("127.0.0.1", "0.0.0.0")  # as by another name, in a container
        with pytest.raises(errors.KlingTaskNotFound):
            send(mode, json.dumps(shipped))
        by_hand = json.dumps({"conn_type": "kling", "host": kling.url, "password": shipped["password"]})
        with pytest.raises(errors.KlingTaskNotFound):
            send(mode, by_hand)
        assert len(kling.ledger) == 1


# --- A proxy that refuses


@MODES
@pytest.mark.parametrize("host", ["http://kling.invalid", "https://kling.invalid"])
def test_the_proxy_that_refused_is_named_with_its_source_and_without_its_password(server, mode, host, monkeypatch, tmp_path):
    for kind in ("create", "other", "video"):
        server.answer(kind, status(407))
    monkeypatch.setenv("HTTP_PROXY", server.url.replace("://", "://me:hunter2@"))
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("://", "://me:hunter2@"))
    named = rf"he proxy {server.url} \(HTTPS?_PROXY\)"
    with pytest.raises(errors.KlingConnectionError, match=named) as call:
        send(mode, connection(host), CREATE)
    with pytest.raises(errors.KlingDownloadError, match=named) as download:
        save(mode, connection(host), host.replace("kling.invalid", "videos.example/video/1"), tmp_path)
    assert "407" in str(call.value)
    assert "407" in str(download.value)
    assert "hunter2" not in f"{call.value} {download.value}"


@MODES
def test_a_proxy_that_is_not_there_is_named(closed, mode):
    with pytest.raises(errors.KlingConnectionError, match=rf"through the proxy {closed} \(the connection's proxies\): "):
        send(mode, connection(proxies=closed), CREATE)
