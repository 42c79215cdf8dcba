"""Who may steer: programs, and no page that a browser shows."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_kling.emulator import KlingEmulator


@pytest.fixture
def kling() -> Iterator[KlingEmulator]:
    with KlingEmulator(
        manual_clock=True, public_url="http://links.example:8900", allowed_hosts=["kling-emulator", "Other.Test"]
    ) as kling:
        kling.fault(1303, on="create", times=None)
        yield kling


def ask(kling: KlingEmulator, method: str, action: str, body: str = "", **headers: str) -> tuple[int, str]:
    """The status and the body of an answer. `Host` and all other headers are sent as they are given."""
    address = urlsplit(kling.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.putrequest(method, f"/_emulator/{action}", skip_host=True)
    for name, value in {"Host": address.netloc, "Content-Length": str(len(body)), **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()


CHANGES = [
    ("POST", "reset", ""),
    ("POST", "settings", json.dumps({"api_key": ["known"]})),
    ("POST", "faults", json.dumps({"what": 1302})),
    ("POST", "clock", json.dumps({"advance": 60})),
    ("DELETE", "faults", ""),
]


@pytest.mark.parametrize(("method", "action", "body"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://{host}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin", "Content_Type": "text/plain"},
        {"Host": "evil.example:8900", "Origin": "http://evil.example:8900"},
    ],
)
def test_a_page_of_another_site_changes_nothing(kling, method, action, body, headers) -> None:
    host = urlsplit(kling.url).netloc
    status, text = ask(kling, method, action, body, **{name: value.format(host=host) for name, value in headers.items()})
    assert status == 403
    assert json.loads(text)["error"]
    assert [fault["what"] for fault in json.loads(ask(kling, "GET", "faults")[1])] == [1303]
    answer = requests.get(f"{kling.url}/v1/videos/effects", headers={"Authorization": f"Bearer {kling.api_key}"}, timeout=30)
    assert answer.status_code != 401


@pytest.mark.parametrize("action", ["state", "journal", "ledger", "slots", "tasks", "faults"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8900", "127.0.0.1.evil.example", "localhost.evil.example", "[x", "a b"]
)
def test_a_name_that_leads_here_by_a_rebound_dns_reads_nothing(kling, action, host) -> None:
    status, text = ask(kling, "GET", action, Host=host)
    assert status in (400, 403)
    if status == 403:
        assert "--allowed-hosts" in json.loads(text)["error"]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1234", "localhost.:80", "127.0.0.1", "[::1]:8900", "192.168.7.1:8900"),
        *("links.example:8900", "kling-emulator:8900", "other.test"),
    ],
)
def test_programs_steer_by_every_known_name(kling, host) -> None:
    assert ask(kling, "GET", "state", Host=host)[0] == 200
    assert ask(kling, "POST", "reset", Host=host, Content_Type="application/x-www-form-urlencoded")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content_Type": "application/x-www-form-urlencoded"},  # of `curl -d`
        {"Content_Type": "application/json"},
        {"Origin": "http://{host}", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_programs_and_a_person_at_the_address_bar_may_steer(kling, headers) -> None:
    host = urlsplit(kling.url).netloc
    sent = {name: value.format(host=host) for name, value in headers.items()}
    assert ask(kling, "POST", "faults", json.dumps({"what": 1302}), **sent)[0] == 200
    assert [fault["what"] for fault in kling._send("GET", "faults")] == [1303, 1302]


def test_a_page_may_show_a_video(kling) -> None:
    """The report of a batch, opened from a disk, plays videos of the emulator."""
    kling.clear_faults()
    address = urlsplit(kling.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.request("GET", "/videos/none.mp4", headers={"Host": "any.example", "Origin": "null", "Sec-Fetch-Site": "cross-site"})
    assert connection.getresponse().status == 404
    connection.close()
