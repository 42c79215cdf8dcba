"""What counts as never sent, so that nothing can have been paid, and what the errors of proxies show."""

from __future__ import annotations

import json
import socket
import traceback
from contextlib import closing

import pytest
from drivers import CREATE, save, send
from hostile import HostileKling, hang, honest, reset, status

from airflow_provider_kling import errors

MODES = pytest.mark.parametrize("mode", ["sync", "async"])
PASSWORD = "hunter2"
USER = f"http://someone:{PASSWORD}%3A%2F%40@"


@pytest.fixture
def proxy():
    with HostileKling() as server:
        yield server


def behind(proxy: str, host: str = "http://kling.invalid", **extra) -> str:
    return json.dumps({"conn_type": "kling", "host": host, "password": "k", "extra": {"proxies": proxy, **extra}})


def error_of(mode, connection, **options) -> errors.KlingConnectionError:
    with pytest.raises(errors.KlingConnectionError) as caught:
        send(mode, connection, CREATE, **options)
    return caught.value


@MODES
def test_a_reset_after_the_request_was_sent_leaves_it_open_whether_it_arrived(proxy, mode):
    proxy.answer("create", reset, after=True)
    assert error_of(mode, behind(proxy.url)).sent
    assert error_of(mode, proxy.connection()).sent
    assert len(proxy.ledger) == 1


@MODES
@pytest.mark.parametrize("answer", [status(407), status(502), status(403), reset, hang], ids=["407", "502", "403", "reset", "hang"])
def test_without_a_tunnel_nothing_was_sent(proxy, mode, answer):
    proxy.answer("other", answer)
    assert not error_of(mode, behind(proxy.url, "https://kling.invalid"), seconds=1.0).sent


@MODES
def test_without_tls_nothing_was_sent(proxy, mode):
    proxy.answer("other", honest)
    assert not error_of(mode, proxy.connection().replace("http:", "https:", 1)).sent


@MODES
def test_a_proxy_that_wants_other_credentials_has_passed_nothing_on(proxy, mode):
    proxy.answer("create", status(407))
    assert not error_of(mode, behind(proxy.url)).sent


@MODES
def test_a_proxy_that_is_not_there_has_passed_nothing_on(mode):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert not error_of(mode, behind(f"http://127.0.0.1:{port}")).sent


# --- Secrets of proxies


@MODES
@pytest.mark.parametrize("host", ["http://kling.invalid", "https://kling.invalid"])
@pytest.mark.parametrize("place", ["{host}", "127.0.0.1:1", "no.invalid:3128"])
@pytest.mark.parametrize("answer", [status(407), reset, hang], ids=["407", "reset", "hang"])
def test_the_password_of_a_proxy_stands_in_no_error(proxy, mode, host, place, answer, tmp_path):
    for kind in ("other", "create", "video"):
        proxy.answer(kind, answer)
    connection = behind(f"{USER}{place.format(host=proxy.url.removeprefix('http://'))}", host)
    shown = []
    for call in (
        lambda: send(mode, connection, CREATE, seconds=0.5),
        lambda: save(mode, connection, f"{host.replace('kling', 'videos')}/video/1?sig={PASSWORD}", tmp_path, seconds=0.5),
    ):
        with pytest.raises(errors.KlingError) as caught:
            call()
        shown += traceback.format_exception(caught.value)
        error: BaseException | None = caught.value
        while error is not None:
            shown.append(repr(error))
            error = error.__cause__ or error.__context__
    assert PASSWORD not in "".join(shown)


@MODES
@pytest.mark.parametrize("proxy_url", ["http://{user}@proxy.example:99x", "http://{user}@[", "socks5://{user}@proxy.example:1080"])
def test_a_proxy_that_cannot_be_used_is_a_fault_of_the_settings(mode, proxy_url):
    with pytest.raises(errors.KlingSettingsError, match="wanted is an HTTP proxy") as caught:
        send(mode, behind(proxy_url.format(user=f"someone:{PASSWORD}")), CREATE)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@MODES
def test_a_proxy_of_the_environment_needs_no_scheme(proxy, mode, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
    connection = json.dumps({"conn_type": "kling", "host": "http://kling.invalid", "password": "k"})
    assert send(mode, connection, CREATE).status == "submitted"
    assert proxy.requests[0].target == "http://kling.invalid/v1/videos/effects"
