"""Whatever place a user gives, and whatever goes wrong with it: no error, traceback, log, result or XCom shows its secrets."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow
from test_secrets import Server, call

from airflow_provider_kling import by_date, mapping, results
from airflow_provider_kling.api import ApiKey, EffectRequest, Task, Video
from airflow_provider_kling.client import AiohttpTransport, KlingSettings, Urllib3Transport
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.errors import KlingError, KlingInputError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import ManifestFile, load_image
from airflow_provider_kling.object_paths import storage_path
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.places import holds_password
from airflow_provider_kling.redaction import show_error, show_host, show_place, show_reason, show_text, show_url
from airflow_provider_kling.sensors import KlingTaskSensor

SECRET = "s3cr3tOfThePlace"
SIGNED = [
    f"https://bucket.s3.amazonaws.com/m.csv?X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}",
    f"https://storage.googleapis.com/b/m.csv?X-Goog-Signature={SECRET}",
    f"https://acct.blob.core.windows.net/c/m.csv?sv=1&sig={SECRET}",
    f"https://host/m.csv?id={'7'}&Signature={SECRET}&Expires=1",
    f"https://cdn.example/m.csv?a.vendor.nobody.knows={SECRET}",
    f"https://host/m.csv?{SECRET}",
    f"https://host/m.csv#access_token={SECRET}",
    f"https://host/m.csv?next=https://u:{SECRET}@other/m.csv",
    f"abfs://container@acct.dfs.core.windows.net/m.csv?sig={SECRET}",
    f"bucket.s3.amazonaws.com/m.csv?X-Amz-Signature={SECRET}",
    f"https%3A%2F%2Fhost%2Fm.csv%3FX-Amz-Signature%3D{SECRET}",
]
WITH_USER = [
    f"s3://AKIAKEY:{SECRET}@bucket/m.csv",
    f"s3://AKIAKEY:1/x+{SECRET}/y@bucket/m.csv",
    f"s3://AKIAKEY:with blank {SECRET}@bucket/m.csv",
    f"gs://{SECRET}@bucket/m.csv",
    f"sftp://me:{SECRET}@host:22/m.csv",
    f"https://me:{SECRET}@host/m.csv",
    f"https://me%3A{SECRET}%40host/m.csv",
    f"https://me:p?{SECRET}@host/m.csv",
    f"https://me:p#{SECRET}@host/m.csv",
    f"https://me:{SECRET}@[half/m.csv",
    f"https://me:{SECRET}@host:port/m.csv",
    f"https:/me:{SECRET}@host/m.csv",
    f"//me:{SECRET}@host/m.csv",
    f"me:{SECRET}@host:3128",
    f"AKIAKEY:{SECRET}@bucket/m.csv",
    f"s3%3A%2F%2FAKIAKEY%3A{SECRET}%40bucket%2Fm.csv",
    f"simplecache::s3://AKIAKEY:{SECRET}@bucket/m.csv",
    f"unknown+scheme://me:{SECRET}@host/m.csv",
]
PLACES = SIGNED + WITH_USER

IMAGE = "https://example.com/a.jpg"
MANIFEST = [{"row_id": "1", "effect_scene": "squish", "image": IMAGE, "images": None}]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory, for what looks like a relative path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(f"id,effect_scene,image\n1,squish,{IMAGE}\n")
    return tmp_path


@pytest.fixture(scope="module")
def account() -> Iterator[KlingEmulator]:
    """For the many tests of which none looks at it."""
    with KlingEmulator() as emulator:
        yield emulator


@pytest.fixture
def connected(account, monkeypatch) -> None:
    """The connection `kling_default` leads to an account. No other host has an address, and none is asked for one."""

    def address(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return found(host, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", address)
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection())


def shown_by(error: BaseException) -> str:
    """All that an error shows: its text, its repr, and its traceback with all causes and contexts that Python prints."""
    return "\n".join([str(error), repr(error), show_error(error), *traceback.format_exception(error)])


def attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """What the call shows: its error or its result."""
    try:
        return repr(call(*arguments, **options))
    except Exception as error:  # noqa: BLE001 - any error is to be examined
        return shown_by(error)


def without_source(text: str) -> str:
    """A traceback repeats lines of this file, which name the place."""
    return "\n".join(line for line in text.splitlines() if "test_shown_places" not in line)


# --- The one function ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("show", [show_place, show_url, lambda place: show_text(f"Cannot open {place}: no ({place})."), show_host])
def test_no_secret_of_a_place_is_shown(show: Callable[[str], str], place: str) -> None:
    try:
        shown = show(place)
    except ValueError:
        assert show is show_host
        return
    assert SECRET.lower() not in shown.lower() or " " in place.partition("://")[2]
    assert shown


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["{0}", "at {0!r}.", "Invalid bucket name {1!r}", "{2}", "GET {2} failed"])
def test_no_error_of_a_library_about_a_place_shows_its_secret(place: str, form: str) -> None:
    from urllib.parse import unquote

    error = OSError(form.format(place, place.partition("://")[2] or place, unquote(place)))
    assert SECRET not in show_reason(error, place)


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("/data/run=manual__2026-01-01T00:00:00+00:00/me@2x.jpg", "/data/run=manual__2026-01-01T00:00:00+00:00/me@2x.jpg"),
        ("/data/what?.jpg", "/data/what?.jpg"),
        ("file:///data/100%.jpg", "file:///data/100%.jpg"),
        ("s3://bucket/a#1.jpg", "s3://bucket/a#1.jpg"),
        ("s3://bucket/day=1/a.jpg", "s3://bucket/day=1/a.jpg"),
        ("http://localhost:8900/me@2x.jpg", "http://localhost:8900/me@2x.jpg"),
        ("http://[::1]:8900/a.jpg", "http://[::1]:8900/a.jpg"),
        ("https://host/a.jpg?id=7&w=300", "https://host/a.jpg?id=7&w=300"),
        ("C:\\photos\\me@2x.jpg", "C:\\photos\\me@2x.jpg"),
        ("https://h/a.jpg?id=7&sig=x&w=3&t=1&u=2", "https://h/a.jpg?id=7&…&w=3&…"),
    ],
)
def test_what_is_no_secret_is_shown(place: str, shown: str) -> None:
    assert show_place(place) == shown


def test_no_long_place_takes_long() -> None:
    for unit in ("a-", "a://", "a:/", "a:b", "a:@/", "?a=", "https://a?b=", "%3A%2F%2F"):
        show_text(unit * 10_000)
        show_place(unit * 10_000)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Basic {SECRET}",
        f"{{'Proxy-Authorization': 'Basic {SECRET}'}}",
        f"header Bearer {SECRET}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhayJ9.{SECRET}",
        f"Max retries exceeded with url: /m.csv?X-Amz-Signature={SECRET} (Caused by …)",
        f"Cannot connect to proxy me:{SECRET}@proxy:3128.",
    ],
)
def test_no_text_shows_credentials(text: str) -> None:
    assert SECRET not in show_text(text)


# --- All that takes a place -------------------------------------------------------------------------------------

TASK = Task(kling_task_id="7", status="succeed", videos=(Video(id="v", url="http://127.0.0.1:1/v.mp4"),))


def transport(kind: Any) -> Any:
    return kind(KlingSettings(base_url="http://127.0.0.1:1", credentials=ApiKey("key"), allow_private_links=True))


async def fetch_async(url: str) -> None:
    client = transport(AiohttpTransport)
    try:
        await client.fetch(url, lambda _: None)
    finally:
        await client.close()


def fetch(url: str) -> None:
    client = transport(Urllib3Transport)
    try:
        client.fetch(url, lambda _: None)
    finally:
        client.close()


def connect(mode: str, **connection: Any) -> Callable[[], Any]:
    def run() -> Any:
        with pytest.MonkeyPatch.context() as patch:
            fields = {"conn_type": "kling", "password": "key", "host": "http://127.0.0.1:1", **connection}
            patch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(fields))
            hook = KlingHook(retry_wait=0)
            return call(hook, mode, "list_tasks")

    return run


USES: dict[str, Callable[[str], Any]] = {
    "storage_path": lambda place: storage_path(place) and None,
    "read_manifest": mapping.read_manifest,
    "rows": lambda place: list(ManifestFile(place).__enter__().rows()),
    "write_results": lambda place: mapping.write_results("good.csv", place, []) and None,
    "write_results_of": lambda place: mapping.write_results(place, "out", []),
    "write_lines": lambda place: results.write_lines([], place, title="t") and None,
    "report_title": results.report_title,
    "manifest_of": lambda place: by_date.manifest_of(place, "2026-11-22"),
    "collect_results": lambda place: by_date.collect_results(place) and None,
    "load_image": load_image,
    "save_videos": lambda place: KlingHook(retry_wait=0).save_videos(TASK, place),
    "fetch": fetch,
    "fetch_async": lambda place: asyncio.run(fetch_async(place)),
    "host": lambda place: connect("sync", host=place, extra={"timeout": 0.2})(),
    "proxy": lambda place: connect("sync", extra={"proxies": place, "timeout": 0.2})(),
    "proxy_async": lambda place: connect("async", extra={"proxies": place, "timeout": 0.2})(),
    "proxies": lambda place: connect("sync", extra={"proxies": {"http": place}, "timeout": 0.2})(),
    "verify": lambda place: connect("sync", extra={"verify": place})(),
    "request": lambda place: EffectRequest("squish", [place]),
    "request_fingerprint": lambda place: EffectRequest("squish", [place]).fingerprint and None,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("use", USES)
def test_no_use_of_a_place_shows_its_secret(use: str, place: str, caplog, connected) -> None:
    if use == "load_image" and _accepted(place):
        pytest.skip("the URL of an image goes to Kling as it is")
    caplog.set_level("DEBUG", logger="airflow_provider_kling")
    shown = attempt(USES[use], place) + caplog.text
    assert SECRET not in without_source(shown)


def _accepted(url: str) -> bool:
    try:
        load_image(url)
    except KlingInputError:
        return False
    return True


# --- Operators -------------------------------------------------------------------------------------------------


def run_operator(operator: Any) -> tuple[str, FakeAirflow]:
    """What a run of this operator shows and leaves, but the fields that the user wrote himself."""
    with DAG("d", schedule=None) as dag:
        dag.add_task(operator)
    airflow = FakeAirflow()
    try:
        run = airflow.finish(operator)
    except Exception as error:  # noqa: BLE001 - any error is to be examined
        return shown_by(error), airflow
    return (shown_by(run.error) if run.error else "") + str(run.state), airflow


OPERATORS: dict[str, Callable[[str], Any]] = {
    "batch_manifest": lambda place: KlingEffectBatchOperator(task_id="t", manifest=place, results="out"),
    "batch_results": lambda place: KlingEffectBatchOperator(task_id="t", manifest="good.csv", results=place),
    "batch_save_to": lambda place: KlingEffectBatchOperator(task_id="t", manifest="good.csv", results="out", save_to=place),
    "effect_save_to": lambda place: KlingEffectOperator(
        task_id="t", effect_scene="squish", image=IMAGE, save_to=place, wait_for_completion=True, poll_interval=0.1
    ),
    "effect_image": lambda place: KlingEffectOperator(task_id="t", effect_scene="squish", image=place),
    "sensor_save_to": lambda place: KlingTaskSensor(task_id="t", kling_task_id="order-1", save_to=place, poke_interval=0.1),
}
# One of each kind: the others have been tried without Airflow above.
OF_EACH_KIND = [SIGNED[0], SIGNED[4], *WITH_USER[:2], *WITH_USER[4:7], WITH_USER[9], WITH_USER[14]]


@pytest.mark.kling_emulator(duration=0.1, videos="clip")
@pytest.mark.parametrize("place", OF_EACH_KIND)
@pytest.mark.parametrize("name", OPERATORS)
def test_no_operator_shows_the_secret_of_a_place(name: str, place: str, caplog, kling_emulator) -> None:
    KlingHook().create_task(EffectRequest("squish", [IMAGE]), external_task_id="order-1")
    caplog.set_level("DEBUG", logger="airflow")
    caplog.set_level("DEBUG", logger="airflow_provider_kling")
    shown, airflow = run_operator(OPERATORS[name](place))
    left = "".join(line for line in caplog.text.splitlines() if "msg=" not in line)
    assert SECRET not in without_source(shown) + json.dumps(airflow.xcoms, default=str) + left


@pytest.mark.kling_emulator(duration=0.1, videos="clip")
def test_a_place_that_holds_a_password_costs_nothing(kling_emulator) -> None:
    for name in ("batch_manifest", "batch_results"):
        shown, _ = run_operator(OPERATORS[name](f"s3://AKIAKEY:{SECRET}@bucket/m.csv"))
        assert "holds credentials before its host or bucket; wanted is the id of an Airflow connection" in shown
    assert kling_emulator.ledger == []


@pytest.mark.parametrize(
    "place", ["a.csv", "a:b", "/x/me:x@y.csv", "2026-01-01T00:00:00/me@2x.csv", "s3://conn@bucket/T00:00/me@x"]
)
def test_ordinary_places_hold_no_password(place: str) -> None:
    assert not holds_password(place)


# --- A server that repeats what it got --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("kind", ["message", "html", "code 404", "location"])
def test_a_server_that_repeats_the_token_gets_it_into_no_error(mode: str, kind: str, monkeypatch) -> None:
    def respond(_: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        token = f"Authorization: {headers['Authorization']}"
        if kind == "message":
            return 401, {}, json.dumps({"code": 1002, "message": f"bad {token}", "request_id": token}).encode()
        if kind == "html":
            return 200, {}, f"<p>{token}</p>".encode()
        if kind == "location":
            return 302, {"Location": f"http://other/?{headers['Authorization'].replace(' ', '=')}"}, b""
        return 404, {}, json.dumps({"error": token, "path": token}).encode()

    with Server(respond, name="127.0.0.1") as server:
        for connection in ({"password": f"{SECRET}-api-key"}, {"login": "ak", "password": f"{SECRET}-of-at-least-32-characters"}):
            monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps({"conn_type": "kling", "host": server.url, **connection}))
            hook = KlingHook(retry_wait=0)
            with pytest.raises(KlingError) as caught:
                call(hook, mode, "get_task", "7")
            assert not [token for token in server.tokens if token in shown_by(caught.value)]
            assert SECRET not in shown_by(caught.value)
