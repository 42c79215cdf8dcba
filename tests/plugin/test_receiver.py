"""The receiver of callbacks in a real API server: what is refused, what counts, and that each end becomes one asset event."""

from __future__ import annotations

import itertools
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import plugin_server
import pytest
from callback_signing import NEXT_SECRET, OTHER_SECRET, SECRET, VECTOR, signed, task_body

CONN_ID = "kling_signed"
IDS = itertools.count(880_000_000_000)


@pytest.fixture(scope="module")
def servers(stored_dags, account, tmp_path_factory):
    """Two API servers on one database."""
    connection = json.loads(account.connection())
    environment = {
        "AIRFLOW_CONN_KLING_SIGNED": json.dumps({**connection, "extra": {"webhook_secret": f"{SECRET} {NEXT_SECRET}"}}),
        "AIRFLOW_CONN_KLING_OPEN": json.dumps({**connection, "extra": {"accept_unsigned_callbacks": True}}),
        "AIRFLOW_CONN_KLING_COLD": json.dumps({**connection, "extra": {"webhook_secret": SECRET}}),
        "AIRFLOW_CONN_KLING_BARE": json.dumps(connection),
        "AIRFLOW_CONN_ANOTHER": json.dumps({"conn_type": "http", "host": "example.com"}),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(plugin_server.serving(tmp_path_factory.mktemp(name), **environment)) for name in ("first", "second")
        ]


@pytest.fixture
def post(servers):
    """Sends a callback to the first server, or another; returns status and word."""

    def send(body, headers, conn_id=CONN_ID, server=0):
        response = servers[server].request("POST", f"callbacks/{conn_id}", user=None, data=body, headers=headers)
        assert len(response.text) < 30, response.text
        return response.status_code, response.text

    return send


@pytest.fixture
def task_id():
    return str(next(IDS))


def events(task_id):
    """The `extra` of the asset events of a task."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = list(session.scalars(select(AssetEvent.extra)))
    return [extra for extra in found if extra.get("kling_task_id") == task_id]


def test_the_end_of_a_task_becomes_an_asset_event(post, account, task_id):
    asked = len(account.journal)
    body = task_body(task_id)
    assert post(body, signed(body, SECRET)) == (200, "accepted")
    (extra,) = events(task_id)
    assert extra.pop("updated_at")
    assert extra == {
        "kling_conn_id": CONN_ID,
        "kling_task_id": task_id,
        "external_task_id": f"row-{task_id}",
        "status": "succeed",
        "message": "",
        "units": "2.5",
        "heard_by": "callback",
    }
    assert len(account.journal) == asked  # Kling was not asked


def test_an_event_queues_a_run_of_the_dag(post, task_id):
    from airflow.models.asset import AssetDagRunQueue
    from airflow.utils.session import create_session
    from sqlalchemy import select

    body = task_body(task_id, "failed", task_result={})
    assert post(body, signed(body, NEXT_SECRET)) == (200, "accepted")
    with create_session() as session:
        assert "on_ends" in set(session.scalars(select(AssetDagRunQueue.target_dag_id)))


def test_repeated_callbacks_count_once_whichever_server_hears_them(post, task_id):
    body = task_body(task_id)
    headers = signed(body, SECRET)
    assert post(body, headers) == (200, "accepted")
    assert post(body, headers) == (200, "repeated")
    assert post(body, signed(body, SECRET)) == (200, "repeated")
    assert post(body, headers, server=1) == (200, "repeated")
    later = task_body(task_id, "failed", task_result={})  # what was heard first stays
    assert post(later, signed(later, SECRET), server=1) == (200, "repeated")
    assert [extra["status"] for extra in events(task_id)] == ["succeed"]


def test_of_many_at_once_on_two_servers_each_task_counts_once(post):
    ids = [str(next(IDS)) for _ in range(30)]
    calls = [(body, signed(body, SECRET), CONN_ID, server) for body in map(task_body, ids) for server in (0, 1, 0, 1)]
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda call: post(*call), calls))
    assert {status for status, _ in answers} == {200}
    assert sorted(word for _, word in answers) == ["accepted"] * 30 + ["repeated"] * 90
    assert all(len(events(task_id)) == 1 for task_id in ids)


def test_only_an_end_is_news(post, task_id):
    for status in ("submitted", "processing", "something-new"):
        body = task_body(task_id, status, task_result={})
        assert post(body, signed(body, SECRET)) == (200, "no-end")
    body = task_body(task_id, age=4 * 24 * 3600)
    assert post(body, signed(body, SECRET)) == (200, "late")
    assert events(task_id) == []


def test_the_consoles_test_callback_is_understood(post):
    """It has the shape of the newer APIs, and is of June 2026."""
    assert post(VECTOR, signed(VECTOR, SECRET)) == (200, "late")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda body: {}, id="unsigned"),
        pytest.param(lambda body: signed(body, OTHER_SECRET), id="another secret"),
        pytest.param(lambda body: signed(body + b" ", SECRET), id="another body"),
        pytest.param(lambda body: signed(body, SECRET, age=301), id="stale"),
        pytest.param(lambda body: signed(body, SECRET, age=-310), id="from the future"),
        pytest.param(lambda body: {**signed(body, SECRET), "Webhook-Id": "another"}, id="another id"),
        pytest.param(lambda body: {**signed(body, SECRET), "Webhook-Signature": "v1"}, id="no signature"),
    ],
)
def test_what_kling_has_not_sent_is_refused(post, servers, task_id, headers):
    body = task_body(task_id)
    assert post(body, headers(body)) == (401, "refused")
    assert events(task_id) == []
    assert "Connection kling_signed: a callback was answered 'refused'. A callback is not signed" in servers[0].log.read_text()


def test_what_is_unsigned_counts_where_the_connection_says_so(post, task_id):
    body = task_body(task_id)
    assert post(body, {}, "kling_open") == (200, "unheard")  # no DAG is scheduled on its asset
    assert post(body, {}, "kling_bare") == (401, "refused")


@pytest.mark.parametrize("conn_id", ["nowhere", "another", "a%2Fb", "x" * 300, "%00", "%7B%7B"])
def test_a_connection_that_is_none_of_klings_is_unknown(post, task_id, conn_id):
    body = task_body(task_id)
    status, word = post(body, signed(body, SECRET), conn_id)
    assert (status, word) in ((404, "unknown"), (404, '{"detail":"Not Found"}'), (503, "busy"))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"{}", id="no task"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 20_000, id="deep"),
        pytest.param(b'{"task_id":"../../etc","task_status":"succeed"}', id="id that is a path"),
        pytest.param(b'{"task_id":"1","task_status":7}', id="status that is a number"),
    ],
)
def test_what_is_no_task_is_refused(post, body):
    status, word = post(body, {}, "kling_open")
    assert (status, word) in ((400, "no-task"), (200, "no-end"))
    assert (status, word) == (400, "no-task") or b"task_status" in body


def test_a_body_larger_than_a_task_is_not_read(post, servers):
    assert post(b"x" * 70_000, {}, "kling_open") == (413, "too-large")
    address = urlsplit(servers[0].url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as endless:
        endless.sendall(b"POST /kling/callbacks/kling_open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        endless.sendall(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n" + b"ff\r\n" + b"x" * 0xFF + b"\r\n")
        assert b" 413 " in endless.recv(100)


def test_other_methods_are_not_served(servers):
    assert servers[0].request("GET", f"callbacks/{CONN_ID}", user=None).status_code == 405


def test_what_a_stranger_sends_cannot_fill_the_log(post, servers):
    before = len(servers[1].log.read_text().splitlines())
    for number in range(60):
        post(b"{}", {}, f"made-up-{number}", server=1)
        post(b"{}", {}, CONN_ID, server=1)
    lines = servers[1].log.read_text().splitlines()[before:]
    ours = [line for line in lines if "callback" in line and "POST" not in line]
    assert len(ours) <= 4, ours
    assert not any("made-up" in line and "POST" not in line and "answered" in line for line in ours[1:])


def test_a_burst_to_a_connection_that_was_never_asked_for_looks_it_up_once(post):
    bodies = [task_body(str(next(IDS))) for _ in range(40)]
    with ThreadPoolExecutor(40) as pool:
        answers = set(pool.map(lambda body: post(body, signed(body, SECRET), conn_id="kling_cold"), bodies))
    assert answers == {(200, "unheard")}
