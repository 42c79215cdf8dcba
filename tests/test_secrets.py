"""Keys, tokens and images are not leaked: nothing that is stored or logged has one, and no other host receives one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import http.client
import json
import os
import pickle
import sqlite3
import threading
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow_home import Airflow, migrated, warm
from hostile import mp4
from leaks import leaks
from places import PHOTOS
from task_runs import FakeAirflow
from warm_airflow import WarmAirflow

from airflow_provider_kling import errors
from airflow_provider_kling.api import EffectRequest, Task, Video
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import load_image
from airflow_provider_kling.operators import KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

URL = "https://example.com/portrait.jpg"
KEYS = {
    "api_key": ["an-api-key/with+signs=of-every.kind~0123456789"],
    "access_key": ["the-access-key-0123456789:a-secret-key+with/signs=of.every~kind-0123456789"],
}


# --- Servers ---------------------------------------------------------------------------------------------------


Reply = tuple[int, dict[str, str], bytes]


class Server(ThreadingHTTPServer):
    """A server with an origin of its own. It records all requests with their headers."""

    daemon_threads = True

    def __init__(self, respond: Callable[[str, str, dict[str, str], bytes], Reply], *, name: str) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.respond()

            def do_POST(self) -> None:
                self.respond()

            def respond(self) -> None:
                headers = dict(self.headers)
                server.requests.append((self.command, self.path, headers))
                body = self.rfile.read(int(headers.get("Content-Length", 0)))
                status, response_headers, content = respond(self.command, self.path, headers, body)
                self.send_response(status)
                for key, value in {**response_headers, "Content-Length": str(len(content))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.url = f"http://{name}:{self.server_port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def tokens(self) -> set[str]:
        """All bearer tokens that the server received."""
        return {headers["Authorization"].removeprefix("Bearer ") for _, _, headers in self.requests if "Authorization" in headers}


def recording_proxy(url: str) -> Server:
    """A proxy in front of a server, which records what the server receives."""
    target = urllib.parse.urlsplit(url)

    def forward(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        connection = http.client.HTTPConnection(target.hostname or "", target.port)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (ConnectionError, http.client.HTTPException):
            return 502, {}, b"<html>"
        finally:
            connection.close()
        return response.status, {"Content-Type": response.getheader("Content-Type", "")}, content

    return Server(forward, name="127.0.0.1")


@pytest.fixture
def proxy(kling, monkeypatch, auth) -> Iterator[Server]:
    """The proxy that records everything sent to Kling, with credentials that a test can search for."""
    with recording_proxy(kling.url) as server:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(auth).replace(kling.url, server.url))
        yield server


def secrets_of(kling, auth: str, proxy: Server) -> dict[str, str | bytes]:
    """All secrets of a test: the keys, the tokens that were sent, and the photographs, raw and in base64."""
    assert proxy.tokens
    keys = {"api_key": {"API key": kling.api_key}, "access_key": {"secret key": kling.secret_key, "access key": kling.access_key}}[
        auth
    ]
    tokens = {f"token {number}": token for number, token in enumerate(proxy.tokens)}
    signatures = {f"signature of {name}": token.rpartition(".")[2] for name, token in tokens.items() if auth == "access_key"}
    photos = {path.name: path.read_bytes() for path in PHOTOS.glob("*.jpg")}
    return {
        **keys,
        **tokens,
        **signatures,
        **photos,
        **{f"base64 of {name}": base64.b64encode(data) for name, data in photos.items()},
    }


# --- The search itself -----------------------------------------------------------------------------------------

KEY = KEYS["api_key"][0]
PHOTO = base64.b64encode((PHOTOS / "china.jpg").read_bytes())
PART = PHOTO[5003:5123]


def database(path: Path, *values: Any) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("create table xcom (value)")
        connection.executemany("insert into xcom values (?)", [(value,) for value in values])
    connection.close()
    return path


def database_with_deleted_row(path: Path, value: str) -> Path:
    with sqlite3.connect(database(path, value, "other")) as connection:
        connection.execute("pragma secure_delete = off")
        connection.execute("delete from xcom where value <> 'other'")
    connection.close()
    return path


@pytest.mark.parametrize(
    "plant",
    [
        lambda folder: f"the key is {KEY}!",
        lambda folder: json.dumps({"a": f'"{KEY}"'}).replace("/", "\\/"),
        lambda folder: json.dumps(json.dumps([KEY])).replace("a", "\\u0061"),
        lambda folder: f"https://example.com/?key={urllib.parse.quote(KEY, safe='')}",
        lambda folder: base64.b64encode(f'{{"password": "{KEY}"}}'.encode()),
        lambda folder: base64.urlsafe_b64encode(f"1{KEY}".encode()),
        lambda folder: base64.b64encode(f"12{KEY}".encode()),
        lambda folder: f"\\x{f'[{KEY}]'.encode().hex()}",
        lambda folder: pickle.dumps({"next": [KEY]}),
        lambda folder: gzip.compress(f"[{KEY}]".encode()),
        lambda folder: base64.b64encode(zlib.compress(bytes(range(256)) + KEY.encode())),
        lambda folder: PART,
        lambda folder: bytes(100_003) + PART + bytes(100_000),
        lambda folder: b"\n".join(PART[at : at + 19] for at in range(0, 120, 19)),
        lambda folder: PART.replace(b"+", b"-").replace(b"/", b"_"),
        lambda folder: PART.replace(b"/", b"\\/"),
        lambda folder: base64.b64encode(b"..." + PHOTO[:3000]),
        lambda folder: b"\\x" + PHOTO[:300].hex().encode(),
        lambda folder: database(folder / "a.db", json.dumps([KEY])),
        lambda folder: database(folder / "a.db", "x" * 4000 + KEY * 3 + "x" * 4000),
        lambda folder: database(folder / "a.db", zlib.compress(f"[{KEY}]".encode())),
        lambda folder: database_with_deleted_row(folder / "a.db", f"was {KEY}"),
    ],
    ids=lambda plant: None,
)
def test_the_search_finds_a_planted_secret(plant: Callable[[Path], Any], tmp_path: Path) -> None:
    needles = {"the key": KEY, "the photo": PHOTO}
    planted = plant(tmp_path)
    assert leaks(needles, planted)
    (tmp_path / "deep").mkdir()
    if not isinstance(planted, Path):
        (tmp_path / "deep" / "log").write_bytes(planted if isinstance(planted, bytes) else planted.encode())
    assert leaks(needles, tmp_path)


def test_the_search_finds_nothing_where_there_is_no_secret(tmp_path: Path) -> None:
    database(tmp_path / "a.db", KEY[:-1], zlib.compress(PHOTO[:59]), None, 1, 2.5)
    (tmp_path / "log").write_bytes(PHOTO[100:159] + b"." + PHOTO[200:259] + KEY[1:].encode() + os.urandom(100_000))
    assert leaks({"the key": KEY, "the photo": PHOTO}, tmp_path, f"{KEY[:20]}…", b"") == []
    with pytest.raises(ValueError, match="at least 8 are needed"):
        leaks({"it": "short"}, b"")


# --- What Airflow stores and logs ------------------------------------------------------------------------------

INLINE_DAG = """
import base64
from pathlib import Path

from airflow.sdk import dag, task

from airflow_provider_kling.operators import KlingEffectOperator

photo = base64.b64encode(Path({photo!r}).read_bytes()).decode()
common = dict(wait_for_completion=True, deferrable=True, poll_interval=0.5, save_to={output!r})


@dag(schedule=None, user_defined_macros={{"photo": lambda: photo}})
def inline_images():
    @task(trigger_rule="all_done")
    def end():
        pass

    [
        KlingEffectOperator(task_id="raw", effect_scene="squish", image=photo, **common),
        KlingEffectOperator(task_id="data", effect_scene="hug_pro", images=[f"data:image/jpeg;base64,{{photo}}", photo], **common),
        KlingEffectOperator(task_id="rendered", effect_scene="expansion", image="{{{{ photo() }}}}", **common),
        KlingEffectOperator(task_id="half", effect_scene="expansion", image=photo[:4000], **common),
        KlingEffectOperator(task_id="slot", effect_scene="dollar_rain", image={url!r}, **common),
    ] >> end()


inline_images()
"""


def without_mask_messages(log: str) -> str:
    """The log without the messages in which Airflow itself logs the secrets of any connection.

    At DEBUG, `dag.test()` logs the message that asks to mask a secret (`InProcessSupervisorComms.send` in the SDK's
    supervisor.py of 3.3.2). Airflow's real supervisor omits the body of that message.
    """
    kept = [line for line in log.splitlines() if "msg=MaskSecret(value=" not in line]
    assert any("[debug" in line for line in kept)
    return "\n".join(kept)


# Airflow logs at DEBUG and encrypts nothing, so that a search finds all leaks.
TELLING = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG", "AIRFLOW__CORE__FERNET_KEY": ""}


@pytest.fixture(scope="module")
def warm_airflow(tmp_path_factory) -> Iterator[WarmAirflow]:
    with warm(tmp_path_factory.mktemp("airflow"), **TELLING) as process:
        yield process


@pytest.fixture
def airflow(warm_airflow, tmp_path_factory, monkeypatch) -> Airflow:
    for name, value in TELLING.items():
        monkeypatch.setenv(name, value)
    return Airflow(tmp_path_factory.mktemp("airflow"), migrated(tmp_path_factory), warm=warm_airflow)


MANIFEST = [
    {"id": "photo", "effect_scene": "squish", "image": str(PHOTOS / "china.jpg")},
    {"id": "two", "effect_scene": "hug_pro", "images": [str(PHOTOS / "grace_hopper.jpg"), str(PHOTOS / "flower.jpg")]},
    {"id": "slot", "effect_scene": "dollar_rain", "image": URL},
    {"id": "risky", "effect_scene": "squish", "image": "https://example.com/risk.jpg"},
    {"id": "few", "effect_scene": "hug_pro", "image": URL},
    {"id": "inline", "effect_scene": "squish", "image": PHOTO.decode()},
]


@pytest.mark.kling_emulator(duration=0.3, slots=20, videos="clip", **KEYS)
@pytest.mark.parametrize("auth", KEYS)
def test_nothing_that_is_written_down_holds_a_key_a_token_or_an_image(airflow, kling, proxy, auth, tmp_path) -> None:
    output, manifest = tmp_path / "output", tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, MANIFEST)))
    kling.fault(1303, on="create", match="dollar_rain", times=1)
    kling.fault("drop", on="create", match="squish", after=True, times=1)
    if auth == "access_key":
        kling.fault("token", on="get", code=1004, times=1)
    conf = {"manifest": str(manifest), "output": str(output)}
    log = airflow("dags", "test", "kling_effects_mapped", "--conf", json.dumps(conf))
    lines = [json.loads(line) for line in (output / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["status"] for line in lines] == ["succeed", "succeed", "succeed", "failed", "invalid", "invalid"]

    if auth == "access_key":
        airflow.dags = tmp_path / "dags"
        airflow.dags.mkdir()
        dag = INLINE_DAG.format(photo=str(PHOTOS / "flower.jpg"), output=str(output / "inline"), url=URL)
        (airflow.dags / "inline.py").write_text(dag)
        kling.fault(1303, on="create", match="dollar_rain", times=1)
        log += airflow("dags", "test", "inline_images")
        assert len(list((output / "inline").glob("*.mp4"))) == 4

    secrets = secrets_of(kling, auth, proxy)
    written = (airflow.home, airflow.warm.home, output / "results.jsonl", output / "report.html")
    assert leaks(secrets, without_mask_messages(log), *written) == []
    with sqlite3.connect(airflow.home / "airflow.db") as connection:  # the search would have found each secret there
        everything = b" ".join(each.encode() if isinstance(each, str) else each for each in secrets.values())
        connection.execute("update dag_run set conf = ?", (everything,))
    connection.close()
    assert {sentence.partition(" is in ")[0] for sentence in leaks(secrets, airflow.home)} == set(secrets)


# --- What a deferred task stores in the database --------------------------------------------------------------


@pytest.mark.kling_emulator(duration=600, slots=1, **KEYS)
@pytest.mark.parametrize("auth", KEYS)
def test_no_row_of_a_deferred_task_holds_a_key_a_token_or_an_image(kling, proxy, auth, photo) -> None:
    """The trigger's row is deleted when the task ends, and `dag.test()` writes none. So the row is checked here."""
    image = base64.b64encode(Path(photo).read_bytes()).decode()

    def run(operator: Any) -> tuple[str, str]:
        with DAG("d", schedule=None) as dag:
            dag.add_task(operator)
        airflow = FakeAirflow()
        result = airflow.run(operator)
        stored = [result.patch, airflow.rendered, airflow.xcoms, str(result.error)]
        assert leaks(secrets_of(kling, auth, proxy), json.dumps(stored, default=str)) == []
        return result.state, str(result.patch.get("classpath")).rpartition(".")[2]

    options = {"wait_for_completion": True, "deferrable": True}
    waits = KlingEffectOperator(
        task_id="waits", effect_scene="hug_pro", images=[photo, f"data:image/jpeg;base64,{image}"], **options
    )
    assert run(waits) == ("deferred", "KlingTaskTrigger")
    assert run(KlingEffectOperator(task_id="slot", effect_scene="squish", image=URL, **options)) == (
        "deferred",
        "KlingEffectTrigger",
    )
    assert run(KlingEffectOperator(task_id="again", effect_scene="squish", image=image, **options))[0] == "up_for_reschedule"
    sensor = KlingTaskSensor(task_id="sensor", kling_task_id=kling.ledger[0]["kling_task_id"], deferrable=True)
    assert run(sensor) == ("deferred", "KlingTaskTrigger")


# --- Other hosts -----------------------------------------------------------------------------------------------

HERE = {"conn_type": "kling", "extra": {"allow_private_links": True}}
JWT = {**HERE, "login": "ak", "password": "a-secret-key-of-at-least-32-characters"}
API_KEY = {**HERE, "password": KEY}


def video(*_: Any) -> Reply:
    return 200, {"Content-Type": "video/mp4", "Set-Cookie": "seen=1; Path=/"}, mp4()


@pytest.fixture
def other_host() -> Iterator[Server]:
    """A server that is not Kling: another name and another port."""
    with Server(video, name="localhost") as server:
        yield server


def redirect(status: int, to: str) -> Reply:
    return status, {"Location": to, "Set-Cookie": "session=of-this-host; Path=/"}, b""


def hook_for(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connection: dict[str, Any]) -> KlingHook:
    """A hook for this API on a machine whose netrc file has a password for every host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password from-the-netrc-file\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps({**connection, "host": url}))
    return KlingHook(retry_wait=0)


def call(hook: KlingHook, mode: str, name: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of the hook, or its async twin."""
    if mode == "sync":
        with hook:
            return getattr(hook, name)(*arguments, **options)

    async def run() -> Any:
        async with hook:
            return await getattr(hook, f"a{name}")(*arguments, **options)

    return asyncio.run(run())


def identifying_headers(requests: Iterable[dict[str, str]]) -> list[str]:
    """The headers of these requests that could reveal the sender or its credentials."""
    words = ("authorization", "cookie", "referer", "origin", "token", "key", "bearer", KEY)
    return [line for headers in requests for line in map(": ".join, headers.items()) if any(word in line.lower() for word in words)]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("connection", [API_KEY, JWT], ids=["API key", "JWT"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_by_the_api_forwards_no_token(other_host, monkeypatch, tmp_path, mode, connection, status) -> None:
    with Server(lambda *_: redirect(status, f"{other_host.url}/v1/videos/effects"), name="127.0.0.1") as api:
        hook = hook_for(api.url, monkeypatch, tmp_path, connection)
        for name, argument in {"list_tasks": 1, "get_task": "7", "create_task": EffectRequest("squish", [URL])}.items():
            with pytest.raises(errors.KlingRequestError, match=f"redirected to {other_host.url}"):
                call(hook, mode, name, argument)
        assert [method for method, _, _ in api.requests] == ["GET", "GET", "POST"]
        assert api.tokens
    assert other_host.requests == []


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("connection", [API_KEY, JWT], ids=["API key", "JWT"])
def test_video_hosts_receive_no_credentials(other_host, monkeypatch, tmp_path, mode, connection) -> None:
    """Also if the API redirects to a video host, or one video host redirects to another or back to the API."""
    task = Task(kling_task_id="7", status="succeed", videos=(Video(id="v", url="?"),)).to_json()
    links: list[str] = []

    def respond(_: str, path: str, *__: Any) -> Reply:
        if path.startswith("/v1/videos/effects"):
            data = {**task, "task_result": {"videos": [{"id": str(link), "url": link} for link in links]}}
            content = json.dumps({"code": 0, "message": "SUCCEED", "request_id": "r", "data": data}).encode()
            return 200, {"Content-Type": "application/json", "Set-Cookie": "session=of-the-api; Path=/"}, content
        return video()

    with contextlib.ExitStack() as servers:
        api = servers.enter_context(Server(respond, name="127.0.0.1"))
        videos = servers.enter_context(Server(lambda _, path, *__: redirect(302, other_host.url + path), name="127.0.0.1"))
        back = servers.enter_context(Server(lambda _, path, *__: redirect(307, api.url + path), name="localhost"))
        links += [f"{other_host.url}/1.mp4?signed=yes", f"{videos.url}/2.mp4", f"{back.url}/3.mp4", f"{api.url}/4.mp4"]
        hook = hook_for(api.url, monkeypatch, tmp_path, connection)
        found = call(hook, mode, "get_task", "7")
        paths = call(hook, mode, "save_videos", found, str(tmp_path / "videos"))
    assert len(paths) == 4
    for server, expected in ((other_host, ["/1.mp4?signed=yes", "/2.mp4"]), (videos, ["/2.mp4"]), (back, ["/3.mp4"])):
        assert [path for _, path, _ in server.requests] == expected
        assert identifying_headers(headers for _, _, headers in server.requests) == []
    video_requests = [headers for _, path, headers in api.requests if path.endswith(".mp4")]
    assert len(video_requests) == 2
    assert identifying_headers(video_requests) == []


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_host_of_an_image_receives_no_request(other_host, kling, tmp_path, mode) -> None:
    """Kling downloads the image. The image checks of this package do not open URLs."""
    image = load_image(f"{other_host.url}/portrait.jpg")
    task = call(KlingHook(retry_wait=0), mode, "create_task", EffectRequest("squish", [image]))
    done = call(KlingHook(retry_wait=0), mode, "wait_for_task", task.kling_task_id, timeout=30, poll_interval=0.05)
    call(KlingHook(retry_wait=0), mode, "save_videos", done, str(tmp_path))
    assert other_host.requests == []
