"""The API's answers, compared with the vendor's own samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

VENDOR = json.loads((Path(__file__).parent / "vendor_answers.json").read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """The keys and the types of a JSON value."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value).__name__


def test_create_answers_as_the_vendor_documents(client):
    answer = client.create(external_id="mine")
    assert shape(answer.json()) == shape(VENDOR["create"])
    assert answer.json()["data"]["task_info"] == {"external_task_id": "mine"}
    assert answer.json()["data"]["task_status"] == "submitted"


@pytest.mark.kling_emulator(video_duration=False)
def test_query_answers_as_the_vendor_documents(client, kling):
    task_id = client.made(external_id="mine")
    kling.finish()
    document = client.get(task_id).json()
    assert document["data"].pop("final_balance_deduction").keys() == {"quota", "list_price"}
    assert shape(document) == shape(VENDOR["get"])


def test_video_has_a_duration_by_default(client, kling):
    task_id = client.made()
    kling.finish()
    assert client.video(task_id)["duration"] == "2"
    kling.configure(video_duration=False)
    assert client.video(task_id).keys() == {"id", "url", "watermark_url"}


def test_list_holds_the_same_objects_without_watermark_info(client, kling):
    task_id = client.made(external_id="mine")
    kling.finish()
    listed, single = client.list().json()["data"][0], client.task(task_id)
    assert single.pop("watermark_info") == {"enabled": True}
    assert listed == single


def test_every_answer_has_its_own_request_id(client):
    answers = [client.create(), client.list(), client.get("1"), client.costs()]
    assert len({UUID(answer.json()["request_id"]) for answer in answers}) == 4


def test_success_says_succeed(client):
    assert client.list().json()["message"] == "SUCCEED"
    assert client.list().headers["Content-Type"] == "application/json"


def test_task_ids_are_unique_texts_of_18_digits_that_a_float_would_damage(client, kling):
    kling.configure(slots=50)
    ids = [client.made() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(len(task_id) == 18 and task_id.isdigit() for task_id in ids)
    assert all(int(task_id) > 2**53 for task_id in ids)


def test_status_goes_from_submitted_over_processing_to_succeed(client, kling):
    task_id = client.made()
    shown = [client.task(task_id)]
    kling.advance(2)
    shown.append(client.task(task_id))
    kling.advance(8)
    shown.append(client.task(task_id))
    assert [task["task_status"] for task in shown] == ["submitted", "processing", "succeed"]
    assert [task["updated_at"] - task["created_at"] for task in shown] == pytest.approx([0, 1000, 10_000], abs=1)
    assert [task.get("final_unit_deduction") for task in shown] == [None, None, "2.5"]
    assert [len(task["task_result"]["videos"]) for task in shown] == [0, 0, 1]


@pytest.mark.parametrize("external_id", ["plain", "with space", "a/b", "100%", "ä→ü", "a?b#c", "semi;colon", "%2F"])
def test_task_is_found_by_its_external_id(client, external_id):
    task_id = client.made(external_id=external_id)
    assert client.task(external_id)["task_id"] == task_id
    assert client.task(task_id)["task_info"]["external_task_id"] == external_id


def test_unknown_id_is_an_invalid_parameter_not_a_404(client, error):
    assert error(client.get("nobody/knows")) == (400, 1201, "Task not found by id/external id: nobody/knows")


def test_unknown_path_answers_404_without_a_code(client):
    for path in ("/v1/videos/nothing", "/", "/v2/videos/effects", "/videos"):
        answer = client.send("GET", path)
        document = answer.json()
        assert answer.status_code == 404
        assert document.pop("timestamp") > 1.6e12
        assert document == {"status": 404, "error": "Not Found", "message": "No message available", "path": path}


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/videos/effects"), ("POST", "/v1/videos/effects/1"), ("POST", "/account/costs")]
)
def test_wrong_method_on_a_known_path_is_1202(client, error, method, path):
    assert error(client.send(method, path))[:2] == (404, 1202)


@pytest.mark.parametrize("body", ["", "nonsense", "[]", "12", '{"effect_scene":', "\x00"])
def test_body_that_is_no_object_is_1200(client, error, body):
    assert error(client.send("POST", "/v1/videos/effects", data=body))[:2] == (400, 1200)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"effect_scene": "pet_lion_pro"},
        {"effect_scene": "", "input": {"image": "https://example.com/a.png"}},
        {"effect_scene": " ", "input": {"image": "https://example.com/a.png"}},
        {"effect_scene": 7, "input": {"image": "https://example.com/a.png"}},
        {"effect_scene": "pet_lion_pro", "input": {}},
        {"effect_scene": "pet_lion_pro", "input": {"image": ""}},
        {"effect_scene": "pet_lion_pro", "input": "https://example.com/a.png"},
        {"effect_scene": "pet_lion_pro", "input": {"image": "https://[bad/a.png"}},
        {"effect_scene": "pet_lion_pro", "input": {"image": "https://example.com/a.png"}, "external_task_id": 5},
    ],
)
def test_create_without_its_parameters_is_1201(client, kling, error, body):
    assert error(client.send("POST", "/v1/videos/effects", json=body))[:2] == (400, 1201)
    assert kling.ledger == []


def test_list_is_newest_first_and_cut_into_pages(client, kling):
    kling.configure(slots=7)
    made = [client.made() for _ in range(7)][::-1]
    assert client.listed() == made
    assert client.listed(pageNum=1, pageSize=3) == made[:3]
    assert client.listed(pageNum=3, pageSize=3) == made[6:]
    assert client.listed(pageNum=4, pageSize=3) == []
    kling.configure(list_order="oldest")
    assert client.listed(pageNum=2, pageSize=3) == made[::-1][3:6]


def test_page_holds_30_tasks_by_default(client, kling):
    kling.configure(slots=40)
    for _ in range(35):
        client.made()
    assert len(client.listed()) == 30
    assert len(client.listed(pageSize=500)) == 35


def test_shuffled_list_holds_every_task_once(client, kling):
    kling.configure(slots=40, list_order="shuffled")
    made = [client.made() for _ in range(40)]
    listed = [task_id for page in (1, 2, 3, 4) for task_id in client.listed(pageNum=page, pageSize=10)]
    assert sorted(listed) == sorted(made)
    assert listed not in (made, made[::-1])


@pytest.mark.parametrize(
    "params", [{"pageNum": 0}, {"pageNum": 1001}, {"pageSize": 0}, {"pageSize": 501}, {"pageNum": "x"}, {"pageSize": -1}]
)
def test_page_outside_its_limits_is_1201(client, error, params):
    status, code, message = error(client.list(**params))
    assert (status, code) == (400, 1201)
    assert next(iter(params)) in message


def test_page_at_its_limits_is_served(client):
    assert client.listed(pageNum=1000, pageSize=500) == []


def test_links_lead_to_the_host_of_the_request(client, kling):
    task_id = client.made()
    kling.finish()
    answer = client.send("GET", f"/v1/videos/effects/{task_id}", headers={"Host": "kling.test:1234"})
    assert answer.json()["data"]["task_result"]["videos"][0]["url"].startswith("http://kling.test:1234/videos/")
    kling.configure(public_url="https://cdn.example.com/")
    assert client.video(task_id)["watermark_url"].startswith("https://cdn.example.com/videos/")
