"""Every fault, as a plain client sees it."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_kling.api import CODES


@pytest.mark.parametrize("number", sorted(CODES))
def test_every_code_comes_with_its_status_and_text(client, kling, error, number):
    kling.fault(number)
    assert error(client.list()) == (CODES[number].http_status, number, CODES[number].meaning)
    assert client.list().status_code == 200


def test_code_may_be_written_as_text(client, kling, error):
    kling.fault("1303", on="create", message="later")
    assert error(client.create()) == (429, 1303, "later")


def test_unknown_code_may_come_with_any_status_and_message(client, kling, error):
    kling.fault(1999, status=418, message="nobody has seen this")
    assert error(client.list()) == (418, 1999, "nobody has seen this")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_gateway_answers_html_without_a_code(client, kling, status):
    kling.fault(status)
    answer = client.list()
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert str(status) in answer.text


def test_gateway_before_the_create_leaves_no_task(client, kling):
    kling.fault(502, on="create", body="<h1>Bad</h1>")
    assert client.create(external_id="mine").text == "<h1>Bad</h1>"
    assert kling.ledger == []
    assert client.get("mine").json()["code"] == 1201


@pytest.mark.parametrize("what", [502, 5000, "drop", "cut", "html", "empty", "token"])
def test_lost_answer_leaves_a_task_behind(client, kling, what):
    kling.fault(what, on="create", after=True)
    try:
        assert client.create(external_id="mine").content[-1:] != b"}" or what in (5000, "token")
    except requests.ConnectionError:
        assert what in ("drop", "cut")
    except requests.exceptions.ChunkedEncodingError:
        assert what == "cut"
    assert client.task("mine")["task_status"] == "submitted"
    assert len(kling.ledger) == 1


def test_dropped_create_leaves_no_task(client, kling):
    kling.fault("drop", on="create")
    with pytest.raises(requests.ConnectionError):
        client.create()
    assert kling.ledger == []
    assert [(entry["status"], entry["fault"]) for entry in kling.requests("create")] == [(0, "drop")]


def test_cut_answer_ends_in_its_middle(client, kling):
    whole = len(client.list().content)
    kling.fault("cut", on="list")
    answer = client.send("GET", "/v1/videos/effects", stream=True)
    assert int(answer.headers["Content-Length"]) == whole
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answer.json()


def test_html_and_empty_answers_are_no_json(client, kling):
    kling.fault("html", body="<html>maintenance</html>")
    kling.fault("empty")
    assert client.list().text == "<html>maintenance</html>"
    answer = client.list()
    assert (answer.status_code, answer.content) == (200, b"")


def test_slow_answer_comes_late_but_right(client, kling):
    kling.fault("slow", seconds=0.05)
    answer = client.create()
    assert answer.elapsed.total_seconds() >= 0.05
    assert answer.json()["code"] == 0


def test_client_that_does_not_wait_for_a_slow_create_has_made_a_task(client, kling):
    kling.fault("slow", seconds=60, on="create", after=True)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{kling.url}/v1/videos/effects",
            json={"effect_scene": "squish", "input": {"image": "https://example.com/a.png"}},
            headers={"Authorization": f"Bearer {kling.api_key}"},
            timeout=0.2,
        )
    assert len(kling.ledger) == 1


@pytest.mark.parametrize("code", [1002, 1003, 1004])
def test_token_is_refused(client, kling, error, code):
    kling.fault("token", code=code)
    assert error(client.list())[:2] == (401, code)
    assert client.list().status_code == 200


def test_retry_after_is_a_header(client, kling):
    kling.fault(1302, retry_after=7)
    assert client.list().headers["Retry-After"] == "7"
    assert "Retry-After" not in client.list().headers


def test_fault_hits_a_given_number_of_times(client, kling):
    kling.fault(5000, times=2, skip=1)
    assert [client.list().status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert kling.state["answers"] == {"list 0": 3, "list 5000": 2}


def test_fault_without_a_number_of_times_hits_until_it_is_removed(client, kling):
    kling.fault(5001, times=None)
    assert [client.list().status_code for _ in range(5)] == [503] * 5
    kling.clear_faults()
    assert client.list().status_code == 200


def test_fault_hits_only_its_kind_of_request(client, kling):
    for kind in ("create", "get", "list", "costs"):
        kling.fault(5002, on=kind)
    assert [client.list().status_code for _ in range(2)] == [504, 200]
    assert [client.create().status_code for _ in range(2)] == [504, 200]
    assert [client.get("x").status_code for _ in range(2)] == [504, 400]
    assert [client.costs().status_code for _ in range(2)] == [504, 200]


def test_fault_hits_only_its_method(client, kling):
    kling.fault(5000, on="POST")
    assert client.list().status_code == 200
    assert client.create().status_code == 500


def test_fault_hits_only_its_task(client, kling):
    task_id = client.made(external_id="row-7", scene="emoji")
    for match in ("row-7", task_id, "emoji"):
        kling.fault(5000, on="get", match=match)
        assert client.get("other").status_code == 400
        assert client.get(task_id).status_code == 500
        assert client.get("row-7").status_code == 200
    kling.fault(1301, on="create", match="squish")
    assert client.create(scene="emoji").status_code == 200
    assert client.create(scene="squish").json()["code"] == 1301


def test_video_can_fail_too(client, kling):
    kling.configure(videos="clip")
    task_id = client.made()
    kling.finish()
    url = client.video(task_id)["url"]
    kling.fault("cut", on="video", match=task_id)
    kling.fault(503, on="video")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url, timeout=30)
    assert requests.get(url, timeout=30).status_code == 503
    assert requests.get(url, timeout=30).status_code == 200


def test_fault_can_hit_at_random(client, kling):
    kling.fault(5000, times=None, rate=0.5)
    statuses = [client.list().status_code for _ in range(40)]
    assert set(statuses) == {200, 500}


@pytest.mark.parametrize(
    "wrong",
    [{"what": "explode"}, {"what": 12}, {"what": 1303, "on": "everything"}, {"what": "token", "code": 5}, {"what": 1303, "x": 1}],
)
def test_invalid_fault_is_refused(kling, wrong):
    with pytest.raises(ValueError, match=r"explode|12|everything|code is 5|'x'"):
        kling.fault(**wrong)
