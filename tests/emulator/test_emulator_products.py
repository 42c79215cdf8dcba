"""An emulator that serves two products: the effects, and a made-up one without images."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import av
import pytest
import requests

from airflow_provider_kling.api import EFFECTS, Product, ReceivedRequest, Refusal
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.emulator.model import Account, Order, Settings

PATH = "/v1/videos/text2video"
EFFECTS_PATH = "/v1/videos/effects"
PROMPT = "A cat rides a wave"
FULL = (429, 1303, "parallel task over resource pack limit")


@dataclass(frozen=True)
class Text:
    """A request of the made-up product."""

    prompt: str
    images: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.prompt != self.prompt.strip():
            raise ValueError("prompt begins or ends with a space")

    @property
    def body(self) -> Mapping[str, Any]:
        return {"prompt": self.prompt}

    @property
    def fingerprint(self) -> str:
        return sha256(self.prompt.encode()).hexdigest()

    @property
    def portable(self) -> bool:
        return True


def read_body(document: Mapping[str, Any]) -> ReceivedRequest:
    prompt = document.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise Refusal(1201, "prompt must not be empty")
    return ReceivedRequest(title=prompt)


def check(request: ReceivedRequest, strict: bool) -> None:
    if strict and len(request.title) > 20:
        raise Refusal(1201, "prompt is too long")


TEXT = Product(name="videos from text", path=PATH, request_of=Text, read_body=read_body, check=check)


@pytest.fixture
def kling(request: pytest.FixtureRequest) -> Iterator[KlingEmulator]:
    marker = request.node.get_closest_marker("kling_emulator")
    settings = {"manual_clock": True, "slots": 20, **(marker.kwargs if marker else {})}
    with KlingEmulator(products=(EFFECTS, TEXT), **settings) as emulator:
        yield emulator


def create(client: Any, prompt: str = PROMPT, **more: Any) -> requests.Response:
    return client.send("POST", PATH, json={"prompt": prompt, **more})


def made(client: Any, prompt: str = PROMPT, **more: Any) -> str:
    """The id of a new task of the made-up product."""
    answer = create(client, prompt, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["task_id"])


def get(client: Any, any_id: str) -> requests.Response:
    return client.send("GET", f"{PATH}/{any_id}")


def listed(client: Any, **params: Any) -> list[str]:
    return [task["task_id"] for task in client.send("GET", PATH, params=params).json()["data"]]


def test_task_is_created_listed_and_found_by_both_ids(client, kling):
    task_id = made(client, external_task_id="mine")
    for any_id in (task_id, "mine"):
        task = get(client, any_id).json()["data"]
        assert (task["task_id"], task["task_status"]) == (task_id, "submitted")
        assert task["task_info"] == {"external_task_id": "mine"}
    assert listed(client) == [task_id]
    kling.finish("mine")
    assert get(client, task_id).json()["data"]["task_status"] == "succeed"


def test_id_of_another_product_is_not_found(client, error):
    text, effect = made(client, external_task_id="text"), client.made(external_id="effect")
    for any_id in (text, "text"):
        assert error(client.get(any_id)) == (400, 1201, f"Task not found by id/external id: {any_id}")
    for any_id in (effect, "effect"):
        assert error(get(client, any_id)) == (400, 1201, f"Task not found by id/external id: {any_id}")


def test_each_product_lists_its_own_tasks(client, kling):
    ids = [(made(client), client.made()) for _ in range(4)]
    texts, effects = [text for text, _ in ids], [effect for _, effect in ids]
    assert (listed(client), client.listed()) == (texts[::-1], effects[::-1])
    assert listed(client, pageNum=2, pageSize=3) == texts[:1]
    kling.configure(list_order="shuffled")
    assert (sorted(listed(client)), sorted(client.listed())) == (sorted(texts), sorted(effects))
    kling.forget(texts[0])
    assert (sorted(listed(client)), sorted(client.listed())) == (sorted(texts[1:]), sorted(effects))
    assert [task["task_id"] for task in kling.tasks] == [task_id for pair in ids for task_id in pair][1:]


def test_external_id_is_unique_across_products(client, kling, error):
    made(client, external_task_id="mine")
    assert error(client.create(external_id="mine")) == (400, 1201, "External_task_id mine already exists")
    client.made(external_id="other")
    assert error(create(client, external_task_id="other")) == (400, 1201, "External_task_id other already exists")
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(slots=1)
def test_products_share_the_slots_and_the_balance(client, kling, error):
    client.made()
    assert error(create(client)) == FULL
    kling.finish()
    made(client)
    assert error(client.create()) == FULL
    kling.finish()
    assert kling.state["spent"] == "5.0"


def test_video_of_a_task_without_images_plays(client, kling):
    task_id = made(client)
    kling.finish()
    url = get(client, task_id).json()["data"]["task_result"]["videos"][0]["url"]
    with av.open(io.BytesIO(requests.get(url, timeout=60).content)) as container:
        assert len(list(container.decode(video=0))) == 48


def test_ledger_and_journal_show_what_was_asked_for(client, kling):
    task_id = made(client)
    get(client, task_id)
    made(client, "A dog")
    made(client)
    assert [line["effect_scene"] for line in kling.ledger] == [PROMPT, "A dog", PROMPT]
    prints = [line["fingerprint"] for line in kling.ledger]
    assert prints[0] == prints[2] == Text(PROMPT).fingerprint != prints[1]
    first, query = kling.journal[:2]
    assert (first["kind"], first["path"], first["effect_scene"], first["kling_task_id"]) == ("create", PATH, PROMPT, task_id)
    assert (query["kind"], query["id"], query["kling_task_id"], query["code"]) == ("get", task_id, task_id, 0)


@pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": 5}, {"prompt": " a cat"}, {"effect_scene": "squish"}])
def test_product_refuses_an_invalid_create(client, kling, error, body):
    assert error(client.send("POST", PATH, json=body))[:2] == (400, 1201)
    assert kling.ledger == []


def test_product_decides_what_is_strict(client, kling, error):
    kling.configure(strict_scenes=False)
    made(client, "A very long prompt indeed")
    kling.configure(strict_scenes=True)
    assert error(create(client, "A very long prompt indeed")) == (400, 1201, "prompt is too long")


@pytest.mark.parametrize("path", [PATH, EFFECTS_PATH])
def test_wrong_method_on_the_path_of_a_product_is_1202(client, error, path):
    assert error(client.send("PUT", path))[:2] == error(client.send("POST", f"{path}/1"))[:2] == (404, 1202)


def test_credential_is_needed_under_every_path(client, error):
    client.session.headers.pop("Authorization")
    assert [error(answer)[:2] for answer in (create(client), get(client, "1"), client.send("GET", PATH))] == [(401, 1001)] * 3


def test_faults_and_plans_match_a_prompt(client, kling):
    kling.fault(5000, on="create", match="wave")
    assert client.create().status_code == 200
    assert create(client).status_code == 500
    kling.fail_next("no", match="dog")
    cat, dog = made(client), made(client, "A dog")
    kling.finish()
    assert [get(client, task_id).json()["data"]["task_status"] for task_id in (cat, dog)] == ["succeed", "failed"]
    kling.fault(5001, on="get", match="dog")
    assert client.get(dog).status_code == 400  # not found there, so nothing is known of its prompt
    assert get(client, dog).status_code == 503


def test_reset_empties_every_list(client, kling):
    made(client)
    client.made()
    kling.reset()
    assert (listed(client), client.listed(), kling.ledger) == ([], [], [])


def test_by_default_there_are_effects_only():
    with KlingEmulator() as kling:
        key = {"Authorization": f"Bearer {kling.api_key}"}
        answers = [requests.get(f"{kling.url}{path}", headers=key, timeout=30) for path in (PATH, EFFECTS_PATH)]
        assert [answer.status_code for answer in answers] == [404, 200]


def test_spawned_emulator_takes_no_products():
    with pytest.raises(TypeError, match="products"):
        KlingEmulator.spawn(products=(TEXT,))


def test_account_finds_a_task_under_its_product_or_under_none():
    account = Account(Settings(), now=0)
    record = account.create(Order(title=PROMPT, product=TEXT, external_task_id="mine"), now=0)
    for any_id in (record.kling_task_id, "mine"):
        assert account.find(any_id) is account.find(any_id, product=TEXT) is record
        assert account.find(any_id, product=EFFECTS) is None
    assert account.page(TEXT, 1, 10) == [record]
    assert account.page(EFFECTS, 1, 10) == []
