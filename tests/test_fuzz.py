"""Any input from outside gives either a valid value or an error of this package with a short, printable message.

The inputs are responses, callbacks, events of triggers and manifests: real ones with random changes, and random bytes.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import contextlib
import functools
import hashlib
import hmac
import io
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pendulum
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings, strategies as st
from vendor import QUERY_ANSWER

from airflow_provider_kling import api, outcomes
from airflow_provider_kling.api import ApiKey, Call, EffectRequest, Refusal, ResourcePack, Response, Task
from airflow_provider_kling.client import AiohttpTransport, KlingSettings, Urllib3Transport, flows
from airflow_provider_kling.errors import KlingDownloadError, KlingError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import BadRow, Row, parse_rows, records
from airflow_provider_kling.manifests.parsing import read_rows
from airflow_provider_kling.mapping import read_manifest
from airflow_provider_kling.results import error_result, join, result_of
from airflow_provider_kling.results.lines import to_jsonl

fuzzed = functools.partial(settings, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))

# --- Random input ----------------------------------------------------------------------------------------------

# JSON texts of unusual values. A well-behaved program writes few of them.
UNUSUAL = st.one_of(
    st.sampled_from(
        [
            *("null", "true", "0", "-0", "-1", "1e999", "-1e999", "1e-999", "NaN", "-Infinity", "0.1e1", "253402300799000"),
            *("[]", "{}", "[null]", '""', '" "', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u2028"', '"\\n\\r\\t"', '"😀"'),
            *('"../../etc/passwd"', '"a/b"', '"http://["', '"file:///etc/passwd"', '"NaN"', '"1e9999999"', '"１２"', '"sNaN"'),
            *('"succeed"', '"failed"', '"success"', '{"videos": [{}]}', '{"a": 1, "a": 2}', "}", "]", ",", "\ufeff1"),
        ]
    ),
    st.sampled_from([50, 400, 900, 960, 990, 3000]).map(lambda depth: "[" * depth + "]" * depth),
    st.sampled_from([50, 400, 900, 990, 3000]).map(lambda depth: '{"a":' * depth + "1" + "}" * depth),
    st.sampled_from([19, 310, 4300, 4301, 20_000]).map(lambda digits: "9" * digits),
    st.sampled_from(["x", "é", "\\u0000", "\\ud800", "/", "="]).map(lambda character: f'"{character * 20_000}"'),
    st.text(max_size=20).map(json.dumps),
    st.integers().map(str),
    st.floats().map(json.dumps),
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7"])
FRAGMENTS = st.sampled_from(
    [b"", b"\0", b"\xff", b"\xed\xa0\x80", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b'"', b"{", b"[", b",", b"\n", b"\\"]
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def to_json(value: Any, changes: dict[tuple[Any, ...], str], path: tuple[Any, ...] = ()) -> str:
    """The value as JSON, with the texts in `changes` at their paths; "gone" leaves a key out."""
    if path in changes:
        return changes[path]
    if isinstance(value, dict):
        pairs = [
            f"{json.dumps(key)}: {to_json(inner, changes, (*path, key))}"
            for key, inner in value.items()
            if changes.get((*path, key)) != "gone"
        ]
        return "{" + ", ".join(pairs + pairs[: len(changes) == 3]) + "}"  # sometimes a key is duplicate
    if isinstance(value, list):
        return "[" + ", ".join(to_json(inner, changes, (*path, index)) for index, inner in enumerate(value)) + "]"
    return json.dumps(value)


@st.composite
def broken(draw: st.DrawFn, *documents: Any) -> bytes:
    """One of these documents as JSON bytes with random changes, or random bytes."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=300) | UNUSUAL.map(lambda text: text.encode("utf-8", "surrogatepass")))
    document = draw(st.sampled_from(documents))
    changes = draw(st.dictionaries(st.sampled_from(list(paths(document))), st.just("gone") | UNUSUAL, max_size=3))
    data = to_json(document, changes).encode(draw(ENCODINGS), "replace")
    for _ in range(draw(st.integers(-3, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(FRAGMENTS) + data[at + draw(st.sampled_from([0, 1, 10**6])) :]
    return data


# --- Responses -------------------------------------------------------------------------------------------------

QUERIED = json.loads(QUERY_ANSWER)
TASK = QUERIED["data"]
CREATED = {
    **QUERIED,
    "data": {key: TASK[key] for key in ("task_id", "task_info", "created_at", "updated_at")} | {"task_status": "submitted"},
}
FAILURE = {**QUERIED, "data": {**TASK, "task_status": "failed", "task_status_msg": "Image pixel is invalid", "task_result": {}}}
LIST = {**QUERIED, "data": [TASK, FAILURE["data"], CREATED["data"]]}
REFUSED = {"code": 1303, "message": "parallel task over resource pack limit", "request_id": "0c1b8a2e"}
NOT_FOUND = {"timestamp": "2026-01-01T00:00:00.000+00:00", "status": 404, "error": "Not Found", "path": "/v1/videos/effect"}
PACK = {
    "resource_pack_name": "Video",
    "resource_pack_id": "509f3fd3",
    "resource_pack_type": "decreasing_total",
    "status": "online",
    "total_quantity": 200.0,
    "remaining_quantity": 118.5,
    "purchase_time": 1726124664368,
    "effective_time": 1726124664368,
    "invalid_time": 1727366400000,
}
COSTS = {**QUERIED, "data": {"code": 0, "msg": "SUCC", "resource_pack_subscribe_infos": [PACK]}}
RESPONSES = (QUERIED, CREATED, FAILURE, LIST, REFUSED, NOT_FOUND, COSTS)

REQUEST = EffectRequest("squish", ["https://example.com/a.jpg"])
CALLS: tuple[Call[Any], ...] = (
    api.create_call(api.EFFECTS, REQUEST, external_task_id="mine-1"),
    api.get_call(api.EFFECTS, "831922345719271433"),
    api.list_call(api.EFFECTS),
    api.costs_call(start=pendulum.datetime(2026, 1, 1), end=pendulum.datetime(2026, 2, 1)),
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "location"]),
    st.sampled_from(
        ["", "7", "-1", "9" * 5000, "1e9", "Sun, 22 Nov 2026 10:00:30 GMT", "Mon, 32 Jan 0000 99:99:99 +9999", "\udcff", "\0"]
    )
    | st.text(max_size=30)
    | st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S -2359")),
)


def assert_storable(text: str, *, max_length: int = 4000) -> None:
    """Assert that Airflow can store a text in logs, in JSON and in a PostgreSQL database."""
    assert "\0" not in text
    text.encode()
    assert len(text) <= max_length


def assert_usable(task: Task) -> None:
    """Assert that all later steps can process a task that was read."""
    text = json.dumps(task.to_json(), ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text
    text.encode()
    again = Task.from_json(json.loads(text)) if task.videos or not task.succeeded else task
    assert (again.kling_task_id, again.status, again.videos) == (task.kling_task_id, task.status, task.videos)
    assert_storable(flows.describe(task))
    for name in flows.file_names(task):
        assert Path("folder", name).name == name
        assert name.isprintable()
        assert len(name) < 255
    try:
        outcome = result_of(task)
    except KlingError as error:
        assert_storable(str(error))
        outcome = error_result(error, row_id="r", task=task)
    assert len(to_jsonl(outcome).splitlines()) == 1
    json.loads(to_jsonl(outcome), parse_constant=pytest.fail)


@fuzzed(max_examples=examples(300))
@given(
    body=broken(*RESPONSES),
    call=st.sampled_from(CALLS),
    status=st.sampled_from([200, 200, 200, 302, 400, 404, 429, 500, 0]),
    headers=HEADERS,
)
def test_any_response_is_read_or_rejected(body: bytes, call: Call[Any], status: int, headers: dict[str, str]) -> None:
    try:
        value = call.read(Response(status=status, body=body, headers=headers))
    except KlingError as error:
        assert_storable(str(error))
        assert_storable(error.request_id or "")
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, ResourcePack):
            assert_storable(repr(item), max_length=200_000)
        else:
            assert_usable(item)


SECRET = base64.b64encode(b"testsecret" * 3).decode()


@pytest.fixture(scope="module")
def hook() -> Iterator[KlingHook]:
    """A hook that can verify callbacks."""
    connection = {"conn_type": "kling", "password": "key", "extra": {"webhook_secret": f"whsec_{SECRET}"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
        hook = KlingHook()
        assert hook.settings.webhook_secrets
    return hook


@fuzzed(max_examples=examples(100))
@given(body=broken(TASK, FAILURE["data"]))
def test_any_body_of_a_signed_callback_is_a_task_or_rejected(hook: KlingHook, body: bytes) -> None:
    now = str(int(time.time()))
    mac = hmac.new(base64.b64decode(SECRET), b".".join([b"1", now.encode(), body]), hashlib.sha256).digest()
    headers = {"webhook-id": "1", "webhook-timestamp": now, "webhook-signature": f"v1,{base64.b64encode(mac).decode()}"}
    try:
        assert_usable(hook.read_callback(body, headers))
    except KlingError as error:
        assert_storable(str(error))


@fuzzed(max_examples=examples(100))
@given(
    body=st.binary(max_size=20),
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-timestamp", "webhook-signature", "x"]),
        st.sampled_from(
            [str(int(time.time())), "1e400", "nan", "-1", "9" * 400, "v1,", "v1,,", "v1,é", "v1,=", "v2,a v1,AAAA", "\ud800"]
        )
        | st.text(max_size=20),
    ),
)
def test_a_callback_with_invalid_headers_is_rejected(hook: KlingHook, body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(KlingError) as caught:
        hook.read_callback(body, headers)
    assert_storable(str(caught.value))


# --- Events of triggers ----------------------------------------------------------------------------------------

EVENTS = (
    {"task": TASK},
    {"task": FAILURE["data"]},
    {"timeout": "not done"},
    {"error": "Kling says: no", "retryable": True, "invalid": False},
)


@fuzzed(max_examples=examples(100))
@given(broken(*EVENTS))
def test_any_event_is_a_task_or_an_error(data: bytes) -> None:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = data
    try:
        assert_usable(outcomes.task_of(event))
    except KlingError as error:
        if not isinstance(event, dict) or not {"timeout", "error"} & set(event):
            assert_storable(str(error))


@pytest.mark.parametrize(
    "event", [{1: 2, "a": 3}, {None: 1, ("a",): 2}, {"x" * 10_000: 1}, dict.fromkeys(map(str, range(9999))), object()]
)
def test_an_event_with_unusual_keys_is_an_error(event: Any) -> None:
    with pytest.raises(KlingError) as caught:
        outcomes.task_of(event)
    assert_storable(str(caught.value))


# --- The server's side -----------------------------------------------------------------------------------------

BODY = {
    "effect_scene": "hug_pro",
    "input": {"images": ["a", "b"]},
    "external_task_id": "mine-1",
    "callback_url": "https://example.com",
}


@fuzzed(max_examples=examples(75))
@given(broken(BODY, {**BODY, "input": {"image": "a"}}))
def test_any_body_of_a_create_is_read_or_rejected(body: bytes) -> None:
    try:
        read = api.read_create(api.EFFECTS, body)
    except Refusal as refusal:
        assert_storable(refusal.message)
    else:
        assert 1 <= len(read.request.images) <= 2


@fuzzed(max_examples=examples(75))
@given(
    page=st.sampled_from(["1", "0", "-1", "9" * 5000, "１", "1e1", ""]) | st.text(max_size=5),
    header=st.text(max_size=30),
    token=st.binary(max_size=60),
)
def test_any_page_and_any_credentials_are_read_or_rejected(page: str, header: str, token: bytes) -> None:
    parts = ".".join(base64.urlsafe_b64encode(token[at : at + 20]).decode() for at in (0, 20, 40))
    for read in (
        lambda: api.read_page({"pageNum": page}),
        lambda: api.authorize(header, api_keys=["key"], secrets={"ak": "sk"}, now=0),
        lambda: api.authorize(f"Bearer {parts}", api_keys=["key"], secrets={"ak": "sk"}, now=0),
    ):
        try:
            read()
        except Refusal as refusal:
            assert_storable(refusal.message)


# --- Links -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Urllib3Transport, AiohttpTransport])
@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://[",
            "http://[::1/a.mp4",
            "http://",
            "http://h:99999/",
            "http://a b/",
            "http://h:x/",
            "//h/a.mp4",
            "a.mp4",
            "?",
            "",
        ),
        *("file:///etc/passwd", "ftp://h/a.mp4", "javascript:1", "http://\ufffd\ufffd/", "http://.../", "http://xn--a/", "HTTP:/h"),
        "http://" + "a" * 300 + ".invalid/",
    ],
)
def test_an_invalid_link_is_a_download_error(kind: Any, url: str) -> None:
    async def fetch() -> None:
        transport = kind(KlingSettings(base_url="http://127.0.0.1:1", credentials=ApiKey("key")))
        fetching = transport.fetch(url, lambda _: None)
        try:
            if fetching is not None:
                await fetching
        finally:
            closing = transport.close()
            if closing is not None:
                await closing

    with pytest.raises(KlingDownloadError) as caught:
        asyncio.run(fetch())
    assert_storable(str(caught.value))


# --- Manifests -------------------------------------------------------------------------------------------------

ROWS = (
    {"id": "a", "effect_scene": "squish", "image": "a.jpg", "title": 'A, "B"'},
    {"id": 7, "effect_scene": "hug_pro", "images": ["l.jpg", "r.jpg"], "title": None},
    {"effect_scene": "hug_pro", "image_1": "https://example.com/l.jpg", "image_2": "r.jpg", "more": {"deep": [1, {"er": 2.5}]}},
)


CSV_CELLS = st.sampled_from(
    [
        *("a.jpg", "squish", "hug_pro", "", '"', '"x"', '"a\nb"', "1e999", "NaN", "[[[", '"[""a""]"', "x" * 9000),
        *("\ufeff", "\u2028", "\0", "é"),
    ]
)
CSV_HEADERS = st.sampled_from(
    [
        "id,effect_scene,image,images",
        "effect_scene;image_1;image_2;title",
        "\ufeffimage\teffect_scene",
        "effect_scene,image" + ",x" * 2000,
    ]
)


@st.composite
def manifests(draw: st.DrawFn) -> tuple[str, bytes]:
    """The name and content of a manifest in one of the formats, with random changes."""
    name = draw(st.sampled_from(["m.csv", "m.jsonl", "m.json"]))
    if name == "m.json":
        return name, draw(broken(list(ROWS)))
    if name == "m.jsonl":
        return name, b"\n".join(draw(st.lists(broken(*ROWS), min_size=1, max_size=4)))
    header = draw(CSV_HEADERS)
    delimiter = next(delimiter for delimiter in ",;\t" if delimiter in header)
    rows = [delimiter.join(draw(st.lists(CSV_CELLS, min_size=1, max_size=5))) for _ in range(draw(st.integers(0, 4)))]
    data = draw(st.sampled_from(["\n", "\r\n", "\r"])).join([header, *rows]).encode(draw(ENCODINGS), "replace")
    for _ in range(draw(st.integers(-3, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(FRAGMENTS) + data[at:]
    return name, data


@fuzzed(max_examples=examples(250))
@given(manifest=manifests(), strict=st.booleans())
def test_any_manifest_gives_rows_or_one_error(manifest: tuple[str, bytes], strict: bool) -> None:
    name, data = manifest
    try:
        read = read_rows(io.BytesIO(data), name=name, strict=strict)
    except KlingError as error:
        assert_storable(str(error), max_length=20_000)
        return
    for text in read.warnings:
        assert_storable(text)
    for row in read.all_rows:
        assert_storable(row.id, max_length=200)
        if isinstance(row, BadRow):
            assert_storable(row.text, max_length=10_000)
        else:
            assert 1 <= len(row.images) <= 2
            for value in (row.effect_scene, *row.images):
                assert_storable(value, max_length=10**6)
    for line in join(read.all_rows, []):
        text = to_jsonl(line)
        text.encode()
        assert len(text.splitlines()) == 1
        json.loads(text, parse_constant=pytest.fail)


def test_the_time_and_the_error_text_for_a_row_are_bounded() -> None:
    """Quadratic work on rows of these sizes would take minutes."""
    many = 100_000
    row = {"effect_scene": "squish", "image": "a.jpg"}
    pairs = ",".join(f'"k{number}":0' for number in range(many))
    rows = {
        "keys": "{" + pairs + "}",
        "twice": "{" + pairs + ',"k7":1}',
        "images": json.dumps({**row, "image": None, "images": [0] * many}),
        "texts": json.dumps({**row, "image": None, "images": ["x"] * many}),
        "column": json.dumps({**row, "near": "|" * many, "imag": [[]] * many}),
        "bars": json.dumps({**row, "image": None, "images": "|" * many}),
        "names": json.dumps({**row, **{name * 1000: 1 for name in "abc"}, "x" * many: 1}),
    }
    for name, line in rows.items():
        (found,) = read_rows([line.encode()], name="m.jsonl").all_rows
        assert isinstance(found, Row if name in ("column", "names") else BadRow), name
        if isinstance(found, BadRow):
            assert_storable(found.text)
    for head in (",".join(f"c{number}" for number in range(many)), "a," * many):
        with pytest.raises(KlingError) as caught:
            read_rows([head.encode()], name="m.csv")
        assert_storable(str(caught.value))


class Endless:
    """Endless lines; it counts the bytes that were read."""

    def __init__(self, first: bytes, then: bytes) -> None:
        self.first = first
        self.then = then
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        yield self.first
        while True:
            self.bytes += len(self.then)
            yield self.then


MEGABYTE = b"x" * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        pytest.param("m.csv", b"effect_scene,image\n", b"squish," + MEGABYTE * 5, id="a long line"),
        pytest.param("m.jsonl", b"\n", b"{" + MEGABYTE * 5, id="a long line of JSON"),
        pytest.param("m.csv", b'effect_scene,image\nsquish,"', MEGABYTE + b"\n", id="an open quote"),
        pytest.param("m.csv", b'effect_scene,image\n"', b'","' + MEGABYTE + b"\n", id="a row of more and more cells"),
        pytest.param("m.json", b"[", b'{"effect_scene": "squish", "image": "a.jpg"},\n' * 20_000, id="a list"),
        pytest.param("m.json", b"[", b"\n" * 1024 * 1024, id="blanks"),
    ],
)
def test_an_endless_row_is_rejected(monkeypatch: pytest.MonkeyPatch, name: str, first: bytes, then: bytes) -> None:
    monkeypatch.setattr(records, "MAX_JSON", 4 * 1024 * 1024)
    monkeypatch.setattr(records, "MAX_ROW", 4 * 1024 * 1024)
    endless = Endless(first, then)
    with pytest.raises(KlingError) as caught:
        list(parse_rows(endless, name=name))
    assert_storable(str(caught.value))
    assert endless.bytes < 50 * 1024 * 1024


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.json"])
def test_a_huge_file_without_lines_is_rejected_with_little_memory(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(b"effect_scene,image" if name == "m.csv" else b"[")
        file.truncate(10**12)

    def read() -> None:
        with pytest.raises(KlingError):
            read_manifest(str(tmp_path / name))

    assert peak(read) < 300 * 1024 * 1024


# --- Memory ----------------------------------------------------------------------------------------------------


def peak(work: Callable[[], object]) -> int:
    """The peak of the memory that this work allocates, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HUGE = 1024 * 1024
SHAPES = {
    "numbers": b'{"code": 0, "data": [' + b"0," * (HUGE // 8) + b"0]}",
    "lists": b'{"code": 0, "data": [' + b"[]," * (HUGE // 8) + b"0]}",
    "a text": b'{"code": 0, "data": {"task_id": "7", "task_status": "failed", "task_status_msg": "' + b"x" * HUGE + b'"}}',
    "a message": b'{"code": 1201, "message": "' + "😀".encode() * HUGE + b'"}',
    "keys": b"{" + b",".join(b'"%d":0' % number for number in range(HUGE // 10)) + b"}",
    "no JSON": b"<" * HUGE,
    "depth": b"[" * HUGE,
    "digits": b"9" * HUGE,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_response_needs_memory_in_proportion_to_its_size(shape: str) -> None:
    body = SHAPES[shape]

    def read() -> None:
        with contextlib.suppress(KlingError):
            CALLS[1].read(Response(status=200, body=body))

    assert peak(read) < 40 * len(body)
