"""The plugin in a real API server: who may see what, and that videos come through it as browsers want them."""

from __future__ import annotations

import json
from itertools import count

import pytest
import requests
from plugin_server import Instance, address, write_run

RUNS = count(1)
ID = "179562958053400444"  # no number of JavaScript holds it


def result(path=None, *, row_id="a", kling_task_id=ID, **changes):
    video = {"id": "v", "url": "https://cdn.example.com/v.mp4?sig=1", "watermark_url": None, "duration": 5.0, "expires_at": None}
    return {
        "row_id": row_id,
        "kling_task_id": kling_task_id,
        "external_task_id": "e",
        "effect_scene": "squish",
        "status": "succeed",
        "message": "",
        "videos": [{**video, "path": None if path is None else str(path)}],
        "units": "2.5",
        "created_at": None,
        "updated_at": None,
        **changes,
    }


@pytest.fixture
def run_of(server):
    """Writes a run of the DAG `kling_whole`, with one row for each result, and returns its id."""

    def write(*results, rendered=None, state="success"):
        run_id = f"manual__{next(RUNS)}+00:00"
        instances = [
            Instance(task_id="make", map_index=index, xcoms={"return_value": one} if one else {}, rendered=rendered or {})
            for index, one in enumerate(results)
        ]
        write_run("kling_whole", run_id, instances, state=state)
        return run_id

    return write


def video_address(server, run_id, index=0):
    row = server.rows("kling_whole", run_id)["rows"][index]
    return row["videos"][0]["src"]


# --- Who may see what


def routes():
    from airflow_provider_kling.plugin.app import build_app

    values = {"dag_id": "kling_whole", "name": "icon.svg"}
    for route in build_app().routes:
        for method in route.methods or ():
            yield method, route.path.replace("{kling_conn_id}", "kling_default").format(**values).lstrip("/")


OPEN = {("POST", "callbacks/kling_default")}  # to whoever can sign: test_receiver.py


def test_one_route_is_open_without_a_login():
    assert set(routes()) >= OPEN


@pytest.mark.parametrize(("method", "path"), sorted(set(routes()) - OPEN))
def test_nobody_is_answered_without_a_login(server, run_of, method, path):
    run_id = run_of(result())
    response = server.request(method, path, user=None, params={"run_id": run_id, "key": "k"})
    assert response.status_code == 401
    assert ID not in response.text
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("what", ["rows", "video", "image", "link", "report", "results", "charges"])
def test_who_may_not_read_the_dags_xcoms_sees_nothing_of_it(server, run_of, tmp_path, clip, what):
    (tmp_path / "v.mp4").write_bytes(clip)
    run_id = run_of(result(tmp_path / "v.mp4"))
    key = server.rows("kling_whole", run_id)["rows"][0]["key"]
    response = server.get(address("kling_whole", what), user="stranger", params={"run_id": run_id, "key": key})
    assert response.status_code == 403
    assert ID not in response.text
    assert b"ftyp" not in response.content


def test_the_page_of_all_runs_leaves_out_what_one_may_not_read(server, run_of):
    run_id = run_of(result())
    assert run_id in [run["run_id"] for run in server.get("api/runs").json()["runs"]]
    hidden = server.get("api/runs", user="stranger").json()
    assert (hidden["runs"], hidden["slots"], hidden["dag_ids"]) == ([], [], [])


def test_a_browser_is_known_by_its_cookie(server, run_of):
    cookies = {"_token": server.token("reader")}
    assert server.get("runs", user=None, cookies=cookies).status_code == 200
    assert server.get(address("kling_whole", "rows"), user=None, cookies=cookies, params={"run_id": run_of()}).status_code == 200


def test_airflow_lists_the_plugin(server):
    token = {"Authorization": f"Bearer {server.token('reader')}"}
    plugins = requests.get(f"{server.url}/api/v2/plugins", headers=token, timeout=60)
    if plugins.status_code == 403:  # viewers may not ask; the plugin manager is asked in test_plugin_registration
        pytest.skip("Airflow shows its plugins to other roles only")
    (kling,) = [plugin for plugin in plugins.json()["plugins"] if plugin["name"] == "kling"]
    assert {view["destination"] for view in kling["external_views"]} == {"nav", "dag_run", "task_instance"}


@pytest.mark.parametrize("page", ["runs", "videos"])
def test_pages_may_load_nothing_but_their_own_files(server, page):
    response = server.get(page)
    assert response.headers["Content-Type"].startswith("text/html")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["videos.html", "..%2Fapp.py", "app.py", "nope.js"])
def test_no_other_file_of_the_package_is_served(server, name):
    assert server.get(f"static/{name}").status_code == 404


# --- Rows


def test_an_id_is_a_text_exactly(server, run_of):
    run_id = run_of(result())
    answer = server.get(address("kling_whole", "rows"), params={"run_id": run_id})
    assert f'"kling_task_id":"{ID}"' in answer.text
    row = answer.json()["rows"][0]
    assert (row["row_id"], row["state"], row["task_id"], row["map_index"], row["task_state"]) == (
        "a",
        "succeed",
        "make",
        0,
        "success",
    )
    assert row["ui"] == f"/dags/kling_whole/runs/{run_id}/tasks/make/mapped/0"
    assert answer.json()["final"]


def test_a_plus_that_arrives_as_a_blank_is_understood(server, run_of):
    """Airflow 3.1 puts run ids into addresses as they are."""
    run_id = run_of(result())
    assert "+" in run_id
    assert server.rows("kling_whole", run_id.replace("+", " "))["run_id"] == run_id


@pytest.mark.parametrize(("dag_id", "run_id"), [("kling_whole", "nope"), ("nope", "nope"), ("~", "nope")])
def test_no_such_run(server, dag_id, run_id):
    response = server.get(address(dag_id, "rows"), params={"run_id": run_id})
    assert (response.status_code, response.json()) == (404, {"detail": "There is no such run."})


def test_two_thousand_rows_are_one_answer(server, run_of):
    run_id = run_of(
        *(result(f"/v/{number}.mp4", row_id=f"r{number}", kling_task_id=str(10**17 + number)) for number in range(2000))
    )
    answer = server.rows("kling_whole", run_id)
    assert len(answer["rows"]) == 2000
    assert (answer["counts"]["succeed"], answer["units"], answer["videos"], answer["more"]) == (2000, "5000", 2000, 0)
    assert len({row["key"] for row in answer["rows"]}) == 2000


def test_a_run_that_goes_on_is_not_final(server):
    run_id = f"manual__{next(RUNS)}"
    ids = {"row_id": "a", "kling_task_id": ID, "external_task_id": "e", "effect_scene": "squish"}
    rows = [{"row_id": name, "effect_scene": "squish", "image": "https://example.com/a.jpg", "images": None} for name in "abc"]
    write_run(
        "kling_mapped",
        run_id,
        [
            Instance(task_id="read", xcoms={"return_value": rows}),
            Instance(task_id="video.create", map_index=0, state="success", xcoms={"return_value": ID, "kling_task": ids}),
            Instance(task_id="video.create", map_index=1, state="deferred"),
            Instance(task_id="video.create", map_index=2, state=None),
            Instance(task_id="video.wait", map_index=0, state="deferred"),
            Instance(task_id="video.wait", map_index=1, state=None),
            Instance(task_id="video.wait", map_index=2, state=None),
        ],
        state="running",
    )
    answer = server.rows("kling_mapped", run_id)
    states = [(row["row_id"], row["state"], row["kling_task_id"], row["task_id"]) for row in answer["rows"]]
    assert states == [
        ("a", "running", ID, "video.wait"),
        ("b", "waiting", None, "video.create"),
        ("c", "waiting", None, "video.create"),
    ]
    assert not answer["final"]
    assert answer["rows"][2]["images"] == [{"name": "https://example.com/a.jpg", "src": "https://example.com/a.jpg"}]
    one = server.rows("kling_mapped", run_id, task_id="video.wait", map_index=0)
    assert [row["row_id"] for row in one["rows"]] == ["a"]
    assert one["counts"]["running"] == 1
    overview = server.get("api/runs", params={"dag_id": "kling_mapped"}).json()
    (run,) = [run for run in overview["runs"] if run["run_id"] == run_id]
    assert (run["rows"], run["counts"]["running"], run["counts"]["waiting"]) == (3, 1, 2)


# --- Videos


def test_a_video_comes_in_parts(server, run_of, tmp_path, clip):
    (tmp_path / "über 1.mp4").write_bytes(clip)
    path = video_address(server, run_of(result(tmp_path / "über 1.mp4")))
    whole = server.get(path)
    assert (whole.status_code, whole.content) == (200, clip)
    assert whole.headers["Content-Type"] == "video/mp4"
    assert whole.headers["Content-Disposition"] == "inline; filename=\"_ber 1.mp4\"; filename*=UTF-8''%C3%BCber%201.mp4"
    assert "sandbox" in whole.headers["Content-Security-Policy"]
    part = server.get(path, headers={"Range": "bytes=10-19", "Accept-Encoding": "gzip"})
    assert (part.status_code, part.content) == (206, clip[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(clip)}"
    assert server.get(path, headers={"Range": "bytes=-5"}).content == clip[-5:]
    beyond = server.get(path, headers={"Range": f"bytes={len(clip)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(clip)}")
    head = server.request("HEAD", path)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(clip)), b"")
    assert server.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    ranged = {"Range": "bytes=0-1", "If-Range": whole.headers["ETag"]}
    assert server.get(path, headers=ranged).status_code == 206
    assert server.get(path, headers={**ranged, "If-Range": '"another"'}).status_code == 200


@pytest.mark.parametrize("parameters", [{"key": "nope"}, {"key": "nope", "path": "/etc/passwd"}, {"index": "7"}, {"index": "-1"}])
def test_a_path_that_no_result_names(server, run_of, tmp_path, clip, parameters):
    (tmp_path / "v.mp4").write_bytes(clip)
    run_id = run_of(result(tmp_path / "v.mp4"))
    key = server.rows("kling_whole", run_id)["rows"][0]["key"]
    response = server.get(address("kling_whole", "video"), params={"run_id": run_id, "key": key, **parameters})
    assert response.status_code == 404


def test_a_result_that_names_another_file_shows_nothing_of_it(server, run_of, tmp_path, clip):
    """Who writes a DAG writes its results, and must not read what the API server may read."""
    secret = tmp_path / "passwd"
    secret.write_text("root:x:0:0")
    outside = tmp_path / "outside" / "other.mp4"
    outside.parent.mkdir()
    outside.write_bytes(clip)
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "link.mp4").symlink_to(outside)
    (folder / "folder.mp4").mkdir()
    (folder / "cut.mp4").write_bytes(clip[:-10])
    places = [secret, folder / "link.mp4", folder / "cut.mp4", "/dev/zero", "http://127.0.0.1:1/v.mp4", "s4://bucket/v.mp4"]
    missing = [folder / "folder.mp4", tmp_path / "gone.mp4"]
    run_id = run_of(*(result(place, row_id=str(place)) for place in [*places, *missing]))
    for number, place in enumerate([*places, *missing]):
        response = server.get(video_address(server, run_id, number))
        assert response.status_code == (404 if place in missing else 502), place
        assert list(response.json()) == ["detail"]
        assert "root:x" not in response.text
        assert response.json()["detail"].startswith("The API server cannot read ")


def test_an_image_is_served_if_it_is_one(server, run_of, photo_path, tmp_path):
    (tmp_path / "a.jpg").write_text("root:x:0:0")
    good = run_of(result(), rendered={"image": photo_path})
    image = server.rows("kling_whole", good)["rows"][0]["images"][0]
    response = server.get(image["src"])
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    bad = server.rows("kling_whole", run_of(result(), rendered={"image": str(tmp_path / "a.jpg")}))["rows"][0]["images"][0]
    response = server.get(bad["src"])
    assert response.status_code == 502
    assert "neither JPEG nor PNG" in response.json()["detail"]
    page = server.rows("kling_whole", run_of(result(), rendered={"image": "data:image/png;base64,AAAA"}))["rows"][0]["images"][0]
    assert page["src"] is None


# --- Links


def test_a_link_is_renewed_by_asking_for_the_task(server, run_of, account):
    from airflow_provider_kling.hooks import KlingHook

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection())
        with KlingHook() as hook:
            task = hook.wait_for_task(
                hook.create_task(effect_scene="squish", image="https://example.com/a.jpg").kling_task_id, poll_interval=0.05
            )
    old = {"url": "https://cdn.example.com/old.mp4", "expires_at": "2020-01-01T00:00:00Z", "path": None}
    run_id = run_of(result(kling_task_id=task.kling_task_id, videos=[old]))
    row = server.rows("kling_whole", run_id)["rows"][0]
    assert row["videos"][0]["src"] is None
    response = server.get(row["videos"][0]["kling"])
    assert response.status_code == 302
    assert response.headers["Location"].startswith(account.url)
    fresh = {**old, "expires_at": "2099-01-01T00:00:00Z"}
    row = server.rows("kling_whole", run_of(result(videos=[fresh])))["rows"][0]
    assert server.get(row["videos"][0]["kling"]).headers["Location"] == fresh["url"]


def test_a_link_that_cannot_be_had_is_a_sentence(server, run_of):
    old = {"url": "javascript:alert(1)", "expires_at": "2099-01-01T00:00:00Z", "path": None}
    row = server.rows("kling_whole", run_of(result(kling_task_id="123", videos=[old])))["rows"][0]
    response = server.get(row["videos"][0]["kling"])
    assert response.status_code == 502
    assert "123" in response.json()["detail"]


def test_a_link_into_the_network_needs_a_connection_that_allows_it(server, run_of):
    inside = {"url": "http://169.254.169.254/latest", "expires_at": "2099-01-01T00:00:00Z", "path": None}
    run_id = run_of(result(videos=[inside]), rendered={"kling_conn_id": "unknown"})
    row = server.rows("kling_whole", run_id)["rows"][0]
    response = server.get(row["videos"][0]["kling"])
    assert response.status_code == 502
    assert "not a public address" in response.json()["detail"]


# --- Report and results


def test_the_report_is_made_anew_and_harmless(server, run_of, tmp_path, clip):
    (tmp_path / "v.mp4").write_bytes(clip)
    failed = result(row_id="<script>alert(1)</script>", status="failed", error='"><img src=x onerror=alert(1)>', videos=[])
    run_id = run_of(result(tmp_path / "v.mp4"))
    response = server.get(address("kling_whole", "report"), params={"run_id": run_id})
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert ID in response.text
    hostile = server.get(address("kling_whole", "report"), params={"run_id": run_of(failed)}).text
    assert "<script>alert(1)" not in hostile
    assert "<img src=x" not in hostile


def test_results_are_a_download_of_lines_of_results(server, stored_dags, tmp_path):
    lines = [{"id": "a", **result(tmp_path / "v.mp4"), "error": None}, {"id": "b", **result(row_id="b"), "status": "odd"}]
    (tmp_path / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    summary = {"rows": 2, "succeed": 1, "failed": 0, "invalid": 0, "error": 1, "units": "2.5", "videos": 1}
    run_id = f"manual__{next(RUNS)}"
    xcoms = {"summary": {**summary, "results": str(tmp_path / "results.jsonl"), "report": "r"}}
    write_run("kling_batch_dag", run_id, [Instance(task_id="batch", xcoms=xcoms)])
    response = server.get(address("kling_batch_dag", "results"), params={"run_id": run_id})
    assert response.status_code == 200
    assert response.headers["Content-Disposition"].startswith("attachment; ")
    assert [json.loads(line)["id"] for line in response.text.splitlines()] == ["a", "b"]
    answer = server.rows("kling_batch_dag", run_id)
    assert [(row["row_id"], row["state"]) for row in answer["rows"]] == [("a", "succeed"), ("b", "error")]
    (tmp_path / "results.jsonl").write_text("root:x:0:0\n")
    assert "root" not in server.get(address("kling_batch_dag", "results"), params={"run_id": run_id}).text
    (tmp_path / "results.jsonl").unlink()
    assert server.get(address("kling_batch_dag", "results"), params={"run_id": run_id}).status_code == 502


def test_what_airflow_itself_writes_becomes_one_row(server, stored_dags, account, monkeypatch):
    """The other runs of this module are written by hand."""
    from airflow_provider_kling.testing import run_dag

    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection())
    run = run_dag(stored_dags["kling_pair"])
    answer = server.rows("kling_pair", run.run_id)
    (row,) = answer["rows"]
    assert (row["state"], row["task_id"], row["effect_scene"], row["units"]) == ("succeed", "wait", "squish", "2.5")
    assert row["kling_task_id"] in [task["kling_task_id"] for task in account.ledger]
    assert row["images"] == [{"name": "https://example.com/a.jpg", "src": "https://example.com/a.jpg"}]
    assert answer["final"]
    assert server.rows("kling_pair", run.run_id, task_id="create", map_index=-1)["rows"] == [row]


# --- Charges


def charges_of(place):
    run_id = f"manual__{next(RUNS)}+00:00"
    summary = {"table": str(place), "span": "2026-11-22, UTC", "charges": 1, "kling_conn_ids": ["kling_default"]}
    write_run("no_kling", run_id, [Instance(task_id="hello", xcoms={"return_value": summary})])
    return {"run_id": run_id, "task_id": "hello", "map_index": "-1"}


def test_the_page_of_charges_is_rendered_from_their_table_alone(server, tmp_path):
    line = {
        "state": "unknown",
        "amount": "2.5",
        "paid_with": "units",
        "kling_task_id": ID,
        "api_key_name": "<script>alert(1)</script>",
    }
    (tmp_path / "charges.jsonl").write_text(json.dumps(line))
    response = server.get(address("no_kling", "charges"), params=charges_of(tmp_path / "charges.jsonl"))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert ID in response.text
    assert "2026-11-22, UTC" in response.text
    assert "<script" not in response.text
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'self'" in policy


@pytest.mark.parametrize("name", ["secret.txt", "charges.jsonl"])
def test_of_a_file_that_is_no_table_of_charges_nothing_is_shown(server, tmp_path, name):
    (tmp_path / name).write_text("top secret")
    response = server.get(address("no_kling", "charges"), params=charges_of(tmp_path / name))
    assert response.status_code == (502 if name == "secret.txt" else 200)
    assert "top secret" not in response.text


def test_charges_that_are_not_there_are_said_so(server, tmp_path, run_of):
    response = server.get(address("no_kling", "charges"), params=charges_of(tmp_path / "charges.jsonl"))
    assert response.status_code == 502
    assert "cannot read" in response.json()["detail"]
    response = server.get(
        address("kling_whole", "charges"), params={"run_id": run_of(result()), "task_id": "make", "map_index": "0"}
    )
    assert (response.status_code, response.json()) == (404, {"detail": "This task has not written charges."})
