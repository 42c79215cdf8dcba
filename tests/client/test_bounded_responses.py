"""Responses that are too large for any of the API are refused before they fill the memory, compressed or not."""

from __future__ import annotations

import gzip
import zlib

import pytest
from drivers import GET, send, use
from hostile import HostileKling, Made, body, bomb, cut, endless, envelope

from airflow_provider_kling import errors
from airflow_provider_kling.api import EFFECTS, list_call, page_call

MODES = pytest.mark.parametrize("mode", ["sync", "async"])
ERRORS = (errors.KlingConnectionError, errors.KlingAnswerError)


@pytest.fixture
def account():
    with HostileKling() as server:
        server.add(Made("1", "x", {}, 0.0, 0.0))
        yield server


@MODES
@pytest.mark.parametrize(
    "answer",
    [bomb(64), bomb(64, "x-gzip"), endless(b" " * 2**16), body(b" " * (17 * 2**20)), body(b"", Content_Length=10**12)],
    ids=["gzip", "x-gzip", "endless", "large", "announced"],
)
def test_a_response_has_a_size_at_most(account, mode, answer):
    account.answer("get", answer)
    with pytest.raises(ERRORS):
        send(mode, account.connection(timeout=2))


@MODES
def test_a_response_of_millions_of_values_is_not_parsed(account, mode):
    account.answer("list", body(envelope()[:-5] + b"[" + b"{}," * 3_000_000 + b"{}]}"))
    with pytest.raises(errors.KlingAnswerError, match="more than 1,000,000 values"):
        send(mode, account.connection(), list_call(EFFECTS))


@MODES
@pytest.mark.parametrize("call", [list_call(EFFECTS), page_call(EFFECTS, page_num=1, page_size=30)], ids=["list", "page"])
def test_a_page_has_500_entries_at_most(account, mode, call):
    account.answer("list", body(envelope([{"task_id": str(number), "task_status": "succeed"} for number in range(501)])))
    with pytest.raises(errors.KlingAnswerError, match="501 entries"):
        send(mode, account.connection(), call)


def test_the_event_loop_goes_on_while_a_large_response_is_parsed(account):
    task = {"task_id": "1", "task_status": "submitted", "notes": ["x" * 100] * 5000}
    account.answer("get", body(envelope(task)))

    async def get(client, now):
        return await client.send(GET)

    assert use("async", account.connection(), get).kling_task_id == "1"


@MODES
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate", "two members"])
def test_packed_responses_are_unpacked(account, mode, encoding):
    plain = envelope({"task_id": "1", "task_status": "submitted", "notes": "x" * 600_000})
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "raw deflate": raw.compress(plain) + raw.flush(),
        "two members": gzip.compress(plain[:1000]) + gzip.compress(plain[1000:]),
    }[encoding]
    account.answer("get", body(packed, Content_Encoding="deflate" if "deflate" in encoding else "gzip"))
    assert send(mode, account.connection()).kling_task_id == "1"


@MODES
@pytest.mark.parametrize(
    ("data", "encoding"),
    [(b"not packed", "gzip"), (gzip.compress(envelope())[:-9], "gzip"), (b"\x0b\x02\x80", "br"), (b"not packed", "deflate")],
    ids=["damaged", "cut off", "not asked for", "no deflate"],
)
def test_a_body_that_cannot_be_unpacked_is_no_response(account, mode, data, encoding):
    account.answer("get", body(data, Content_Encoding=encoding))
    with pytest.raises(errors.KlingConnectionError) as caught:
        send(mode, account.connection())
    assert caught.value.sent


@MODES
def test_a_response_that_breaks_off_is_none(account, mode):
    account.answer("get", cut)
    with pytest.raises(errors.KlingConnectionError):
        send(mode, account.connection())


def test_the_largest_page_is_well_within_the_limits(account):
    account.add(*[Made(str(number), f"airflow-{number:040}", {}, 0.0, 0.0) for number in range(500)])
    assert len(send("async", account.connection(), list_call(EFFECTS, page_size=500))) == 500
