"""KlingHook against the emulator, sync and async: the error table, retries, lost answers, tokens, videos."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import socket
import threading
from pathlib import Path

import pytest

from airflow_provider_kling import __version__, errors
from airflow_provider_kling.api import CODES, EffectRequest
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import load_image

URL = "https://example.com/portrait.jpg"
REQUEST = EffectRequest("pet_lion_pro", [URL])


class Caller:
    """Calls a method of the hook, or its async twin, as a blocking call."""

    def __init__(self, mode: str, **options) -> None:
        self.mode = mode
        self.hook = KlingHook(retry_wait=0, **options)

    def __getattr__(self, name):
        if self.mode == "sync":
            return getattr(self.hook, name)

        def call(*args, **kwargs):
            async def run():
                async with self.hook:
                    return await getattr(self.hook, f"a{name}")(*args, **kwargs)

            return asyncio.run(run())

        return call


@pytest.fixture(params=["sync", "async"])
def hook(request, kling):
    caller = Caller(request.param)
    yield caller
    caller.hook.close()


def test_every_public_method_has_its_async_twin_with_the_same_arguments():
    names = [
        "create_task",
        "get_task",
        "find_task",
        "list_tasks",
        "wait_for_task",
        "save_videos",
        "get_resource_packs",
        "read_callback",
        "test_connection",
    ]
    for name in names:
        sync, twin = getattr(KlingHook, name), getattr(KlingHook, f"a{name}")
        assert inspect.iscoroutinefunction(twin)
        assert inspect.signature(sync) == inspect.signature(twin)


# --- The main job


def test_a_task_is_created_awaited_and_saved(hook, kling, photo, tmp_path):
    task = hook.create_task(EffectRequest("pet_lion_pro", [load_image(photo)]), external_task_id="mine")
    assert task.status == "submitted"
    assert task.external_task_id == "mine"
    done = hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.1)
    assert done.succeeded
    (path,) = hook.save_videos(done, str(tmp_path / "new" / "folder"))
    assert Path(path) == tmp_path / "new" / "folder" / f"{task.kling_task_id}.mp4"
    assert Path(path).read_bytes()[4:8] == b"ftyp"
    assert hook.find_task("mine") == done
    assert hook.get_task(task.kling_task_id) == done
    assert hook.list_tasks() == [done]
    assert [row["external_task_id"] for row in kling.ledger] == ["mine"]


def test_without_an_external_id_a_random_one_is_used(hook, kling):
    hook.create_task(REQUEST)
    hook.create_task(REQUEST)
    assert len({row["external_task_id"] for row in kling.ledger} - {None}) == 2


def test_a_task_that_is_not_there_is_none_or_an_error(hook, kling):
    assert hook.find_task("nothing") is None
    with pytest.raises(errors.KlingTaskNotFound, match="Task not found by id/external id: nothing"):
        hook.get_task("nothing")


def test_an_external_id_with_odd_characters_is_found(hook, kling):
    for odd in ("a/b", "50% off?", "ünï#côdé", "a b+c"):
        made = hook.create_task(REQUEST, external_task_id=odd)
        assert hook.find_task(odd).kling_task_id == made.kling_task_id


def test_resource_packs_are_read_through_their_double_envelope(hook, kling):
    packs = hook.get_resource_packs()
    assert packs
    assert all(pack.id and pack.type and pack.remaining is not None for pack in packs)


@pytest.mark.kling_emulator(slots=50)
def test_the_list_has_pages(hook, kling):
    made = {hook.create_task(REQUEST).kling_task_id for _ in range(7)}
    pages = [hook.list_tasks(page_num=number, page_size=3) for number in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert {task.kling_task_id for page in pages for task in page} == made


# --- The error table, at create and at query


@pytest.mark.parametrize("kind", ["create", "get"])
@pytest.mark.parametrize("number", [number for number in CODES if number not in (1003, 1004)])
def test_every_row_of_the_error_table(hook, kling, number, kind):
    code = CODES[number]
    kling.fault(number, on=kind, times=None)
    with pytest.raises(code.error) as caught:
        hook.create_task(REQUEST) if kind == "create" else hook.get_task("1")
    error = caught.value
    assert error.code == number
    assert error.http_status == code.http_status
    assert error.request_id
    assert error.retryable == code.retryable
    assert code.advice in str(error)
    assert kling.ledger == []


@pytest.mark.parametrize("kind", ["create", "get"])
@pytest.mark.parametrize("number", [1003, 1004])
def test_a_token_refused_for_its_time_is_signed_anew_once_and_then_blames_the_clock(kling, monkeypatch, number, kind):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    for mode in ("sync", "async"):
        since = len(kling.journal)
        kling.fault(number, on=kind, times=None)
        hook = Caller(mode)
        with pytest.raises(errors.KlingAuthError, match=r"newly signed token was refused as well; this machine's clock is \d+ s"):
            hook.create_task(REQUEST) if kind == "create" else hook.get_task("1")
        hook.hook.close()
        assert len(kling.journal) - since == 2
        kling.clear_faults()


@pytest.mark.parametrize("number", [1003, 1004])
def test_one_new_token_is_enough_when_the_old_one_was_refused(kling, monkeypatch, number):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    for mode in ("sync", "async"):
        kling.fault(number, on="create", times=1)
        hook = Caller(mode)
        assert hook.create_task(REQUEST).status == "submitted"
        hook.hook.close()
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(skew=-3600)
def test_a_skewed_clock_is_named_with_its_size(kling, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    with KlingHook() as hook, pytest.raises(errors.KlingAuthError, match=r"clock is 3\d{3} s ahead of the server's"):
        hook.list_tasks()


def test_an_api_key_refused_for_its_time_is_not_tried_again(hook, kling):
    kling.fault(1004, on="get", times=None)
    with pytest.raises(errors.KlingAuthError):
        hook.get_task("1")
    assert len(kling.requests("get")) == 1


# --- Passing faults of reads


@pytest.mark.parametrize("what", [5000, 5001, 5002, 1302, "html", "empty", "cut", "drop"])
def test_a_read_is_repeated_over_a_passing_fault(hook, kling, what):
    kling.fault(what, on="list", times=2)
    assert hook.list_tasks() == []
    assert len(kling.requests("list")) == 3


def test_a_read_is_given_up_after_five_tries(hook, kling):
    kling.fault(5000, on="list", times=None)
    with pytest.raises(errors.KlingServerError):
        hook.list_tasks()
    assert len(kling.requests("list")) == 5


def test_a_read_waits_as_long_as_the_server_asks(kling):
    kling.fault(1302, on="list", times=1, retry_after=1)
    with KlingHook(retry_wait=0) as hook:
        hook.list_tasks()
    first, second = kling.requests("list")
    assert second["time"] - first["time"] >= 1


# --- Creates


LOST = [("drop", True), ("cut", True), (5000, True), (5002, True), ("html", True), ("empty", True)]
NOT_MADE = [("drop", False), (5000, False), (5001, False), ("html", False)]


@pytest.mark.parametrize(("what", "after"), LOST, ids=str)
def test_a_lost_answer_does_not_pay_twice(hook, kling, what, after):
    kling.fault(what, on="create", after=after, times=1)
    task = hook.create_task(REQUEST, external_task_id="submission")
    assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]
    assert [row["kind"] for row in kling.journal] == ["create", "get"]


@pytest.mark.parametrize(("what", "after"), NOT_MADE, ids=str)
def test_a_create_that_made_nothing_is_sent_again_after_a_look(hook, kling, what, after):
    kling.fault(what, on="create", after=after, times=1)
    task = hook.create_task(REQUEST, external_task_id="submission")
    assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]
    assert [row["kind"] for row in kling.journal] == ["create", "get", "create"]


def test_a_slow_answer_beyond_the_timeout_does_not_pay_twice(kling, monkeypatch):
    connection = json.loads(kling.connection()) | {"extra": {"timeout": 0.5}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    for mode in ("sync", "async"):
        kling.reset()
        kling.fault("slow", on="create", after=True, times=1, seconds=3)
        caller = Caller(mode)
        task = caller.create_task(REQUEST, external_task_id="submission")
        caller.hook.close()
        assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_no_slot_is_an_error_of_its_own_and_makes_nothing(hook, kling):
    hook.create_task(REQUEST)
    with pytest.raises(errors.KlingSlotsFullError, match="parallel task over resource pack limit"):
        hook.create_task(REQUEST)
    assert len(kling.ledger) == 1
    assert len(kling.requests("create")) == 2


def test_an_id_that_is_taken_is_taken_over(hook, kling):
    first = hook.create_task(REQUEST, external_task_id="submission")
    again = hook.create_task(REQUEST, external_task_id="submission")
    assert again.kling_task_id == first.kling_task_id
    assert len(kling.ledger) == 1


def test_look_first_sends_no_create_for_a_task_that_is_there(hook, kling):
    first = hook.create_task(REQUEST, external_task_id="submission")
    assert hook.create_task(REQUEST, external_task_id="submission", adopt_existing=True).kling_task_id == first.kling_task_id
    assert len(kling.requests("create")) == 1


@pytest.mark.kling_emulator(duration=0)
def test_the_next_id_is_used_when_the_task_of_the_first_failed(hook, kling):
    kling.fail_next("Image pixel is invalid")
    failed = hook.create_task(REQUEST, external_task_id="submission")
    assert hook.get_task(failed.kling_task_id).failed
    for adopt_existing in (False, True):
        again = hook.create_task(REQUEST, external_task_id="submission", adopt_existing=adopt_existing)
        assert again.external_task_id == "submission-2"
    assert [row["external_task_id"] for row in kling.ledger] == ["submission", "submission-2"]


def test_when_the_look_fails_too_the_error_says_that_a_task_may_exist(hook, kling):
    kling.fault("drop", on="create", after=True, times=1)
    kling.fault(5001, on="get", times=None)
    with pytest.raises(errors.KlingServerError) as caught:
        hook.create_task(REQUEST, external_task_id="submission")
    assert caught.value.outcome_unknown
    kling.clear_faults()
    assert hook.create_task(REQUEST, external_task_id="submission", adopt_existing=True).external_task_id == "submission"
    assert len(kling.ledger) == 1


def test_a_host_where_nobody_listens_is_a_clear_error(monkeypatch):
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


# --- Waiting


@pytest.mark.kling_emulator(duration=0)
def test_passing_faults_do_not_fail_a_wait(hook, kling):
    task = hook.create_task(REQUEST)
    kling.fault(5000, on="get", times=7)
    assert hook.wait_for_task(task.kling_task_id, timeout=60, poll_interval=0.05).succeeded


@pytest.mark.kling_emulator(duration=600)
def test_a_timeout_says_that_the_task_goes_on(hook, kling):
    task = hook.create_task(REQUEST)
    with pytest.raises(errors.KlingTimeoutError, match=f"Kling task {task.kling_task_id} is not done.*goes on at Kling"):
        hook.wait_for_task(task.kling_task_id, timeout=0.2, poll_interval=0.05)


@pytest.mark.kling_emulator(duration=600)
def test_refused_credentials_end_a_wait_at_once(hook, kling):
    task = hook.create_task(REQUEST)
    kling.fault(1002, on="get", times=None)
    with pytest.raises(errors.KlingAuthError):
        hook.wait_for_task(task.kling_task_id, timeout=600, poll_interval=60)


@pytest.mark.kling_emulator(duration=600)
def test_a_task_that_vanished_ends_a_wait_after_several_looks(hook, kling):
    task = hook.create_task(REQUEST)
    kling.forget(task.kling_task_id)
    with pytest.raises(errors.KlingTaskNotFound, match="Check the id"):
        hook.wait_for_task(task.kling_task_id, timeout=600, poll_interval=0.05)
    assert len(kling.requests("get")) == 3


@pytest.mark.kling_emulator(duration=600)
def test_a_status_nobody_knows_is_waited_out_and_named_at_the_deadline(hook, kling):
    task = hook.create_task(REQUEST)
    kling.show_status(task.kling_task_id, "pondering")
    with pytest.raises(errors.KlingTimeoutError, match="last seen: pondering"):
        hook.wait_for_task(task.kling_task_id, timeout=0.2, poll_interval=0.05)


# --- Videos


@pytest.fixture
def done(hook, kling, photo):
    task = hook.create_task(EffectRequest("pet_lion_pro", [load_image(photo)]))
    return hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.05)


def test_a_video_that_is_there_is_not_loaded_again(hook, kling, done, tmp_path):
    assert hook.save_videos(done, str(tmp_path)) == hook.save_videos(done, str(tmp_path))
    assert len(kling.requests("video")) == 1


def test_a_dead_link_is_renewed(hook, kling, done, tmp_path):
    kling.expire_links()
    (path,) = hook.save_videos(done, str(tmp_path))
    assert Path(path).read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("what", ["cut", "drop", "html", "empty", 5000])
def test_half_a_video_is_never_kept(hook, kling, done, tmp_path, what):
    kling.fault(what, on="video", times=None)
    with pytest.raises(errors.KlingDownloadError):
        hook.save_videos(done, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    kling.clear_faults()
    (path,) = hook.save_videos(done, str(tmp_path))
    assert list(tmp_path.iterdir()) == [Path(path)]


@pytest.mark.parametrize("what", ["cut", "drop", "html"])
def test_a_download_is_repeated_over_a_passing_fault(hook, kling, done, tmp_path, what):
    kling.fault(what, on="video", times=1)
    assert len(hook.save_videos(done, str(tmp_path))) == 1


def test_a_place_that_cannot_be_written_is_named(hook, kling, done, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.KlingStorageError, match=r"file/.* could not be written"):
        hook.save_videos(done, str(tmp_path / "file"))


def test_the_video_host_never_sees_a_token(hook, kling, done, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    hook.save_videos(done, str(tmp_path / "videos"))
    hook.list_tasks()
    seen = {row["kind"]: row["authorization"] for row in kling.journal}
    assert seen["video"] is False
    assert seen["list"] is True


# --- Connections


@pytest.mark.parametrize("auth", ["api_key", "access_key"])
def test_the_connection_test_proves_credentials_without_spending(kling, monkeypatch, auth):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(auth))
    for mode in ("sync", "async"):
        ok, text = Caller(mode).test_connection()
        assert ok, text
        assert kling.url in text
    assert {row["kind"] for row in kling.journal} == {"list"}
    assert kling.journal[0]["query"] == "pageNum=1&pageSize=1"
    assert kling.ledger == []


def test_the_connection_test_says_in_words_what_is_wrong(hook, kling, monkeypatch):
    wrong = json.loads(kling.connection()) | {"password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(wrong))
    ok, text = hook.test_connection()
    assert not ok
    assert "The token was expected to have 3 parts, but got 0" in text
    assert "Check the keys" in text


def test_a_base_url_may_have_a_path(hook, kling, monkeypatch):
    beyond = json.loads(kling.connection()) | {"host": f"{kling.url}/nowhere"}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(beyond))
    with pytest.raises(errors.KlingRequestError, match=r"Not Found: /nowhere/v1/videos/effects.*base URL"):
        hook.list_tasks()


def test_the_client_names_itself_and_its_version(hook, kling):
    hook.list_tasks()
    assert kling.journal[0]["user_agent"] == f"airflow-provider-kling/{__version__}"


class Proxy(threading.Thread):
    """Answers one request as a proxy would see it, and keeps its first line."""

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


def test_no_key_token_or_image_is_in_a_log_or_an_error(kling, monkeypatch, photo, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    caplog.set_level("DEBUG")
    with KlingHook(retry_wait=0) as hook:
        kling.fault("drop", on="create", after=True, times=1)
        request = EffectRequest("pet_lion_pro", [image])
        hook.create_task(request)
        kling.fault(1201, on="create", times=1)
        with pytest.raises(errors.KlingRequestError) as caught:
            hook.create_task(request, external_task_id="x")
        token = hook._token()
    told = caplog.text + str(caught.value) + repr(request) + repr(hook.settings)
    for secret in (kling.secret_key, token, image[:60]):
        assert secret not in told


def test_a_proxy_of_the_environment_is_used_and_the_connections_comes_before_it(monkeypatch):
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


def test_no_proxy_of_the_environment_is_used_for_a_host_it_leaves_out(hook, kling, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert hook.list_tasks() == []


def test_settings_that_cannot_work_are_told_by_the_connection_test(hook, kling, monkeypatch):
    wrong = json.loads(kling.connection()) | {"extra": {"verify": "/no/such/bundle.pem"}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(wrong))
    ok, text = hook.test_connection()
    assert not ok
    assert "verify is '/no/such/bundle.pem', which does not exist here" in text


def test_a_connection_that_is_not_defined_is_told(monkeypatch):
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    class Nowhere(KlingHook):
        """A hook in an Airflow that knows no connections."""

        @classmethod
        def get_connection(cls, conn_id):
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

        @classmethod
        async def aget_connection(cls, conn_id):
            return cls.get_connection(conn_id)

    for result in (Nowhere("other").test_connection(), asyncio.run(Nowhere("other").atest_connection())):
        assert result == (False, "Connection 'other' is not defined; wanted is one of type kling.")


def test_plain_http_behind_https_is_recognized(kling, monkeypatch):
    wrong = json.loads(kling.connection()) | {"host": kling.url.replace("http:", "https:")}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(wrong))
    for mode in ("sync", "async"):
        ok, text = Caller(mode).test_connection()
        assert not ok
        assert "begin the base URL with http://" in text


@pytest.mark.kling_emulator(slots=10, duration=600)
def test_max_concurrency_keeps_below_the_accounts_slots(hook, kling, monkeypatch):
    fewer = json.loads(kling.connection()) | {"extra": {"max_concurrency": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(fewer))
    first = hook.create_task(REQUEST)
    hook.create_task(REQUEST)
    with pytest.raises(
        errors.KlingSlotsFullError, match="Connection kling_default says: max_concurrency is 2, and 2 tasks are running"
    ):
        hook.create_task(REQUEST)
    kling.finish(first.kling_task_id)
    hook.create_task(REQUEST)
    assert len(kling.ledger) == 3
    assert kling.state["answers"].get("create 1303", 0) == 0


# --- Callbacks


WEBHOOK_SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="


class Receiver(threading.Thread):
    """Takes one callback as it comes over the wire."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        from http.server import BaseHTTPRequestHandler, HTTPServer

        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.callbacks.append((body, dict(self.headers)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.callbacks: list = []
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cb"

    def run(self) -> None:
        with self.server:
            self.server.handle_request()


@pytest.mark.kling_emulator(webhook_secret=WEBHOOK_SECRET, duration=600)
def test_a_callback_is_read_when_its_signature_is_right(hook, kling, monkeypatch):
    connection = json.loads(kling.connection()) | {"extra": {"webhook_secret": WEBHOOK_SECRET}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    receiver = Receiver()
    receiver.start()
    made = hook.create_task(REQUEST, external_task_id="submission", callback_url=receiver.url)
    receiver.join(timeout=20)
    ((body, headers),) = receiver.callbacks
    task = hook.read_callback(body, headers)
    assert (task.kling_task_id, task.external_task_id) == (made.kling_task_id, "submission")
    with pytest.raises(errors.KlingAnswerError, match="not signed as it should be"):
        hook.read_callback(body + b" ", headers)
    with pytest.raises(errors.KlingAnswerError, match="not signed as it should be"):
        hook.read_callback(body, {**headers, "webhook-signature": "nonsense"})


def test_a_callback_without_a_secret_is_refused(hook, kling):
    with pytest.raises(errors.KlingSettingsError, match="no webhook_secret"):
        hook.read_callback(b"{}", {})
