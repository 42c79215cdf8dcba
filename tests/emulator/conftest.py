"""An emulator whose time stands still, and a plain HTTP client for it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from PIL import Image

from airflow_provider_kling.emulator import KlingEmulator

IMAGE = "https://example.com/cat.png"


class Client:
    """Requests as the vendor's page writes them, without any of this project's client code."""

    def __init__(self, kling: KlingEmulator) -> None:
        self.kling = kling
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {kling.api_key}"

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.kling.url + path, timeout=30, **options)

    def create(self, *images: str, scene: str = "pet_lion_pro", external_id: str | None = None, **more: Any) -> requests.Response:
        given = {"images": list(images)} if len(images) > 1 else {"image": images[0] if images else IMAGE}
        body = {"effect_scene": scene, "input": given, **more}
        if external_id is not None:
            body["external_task_id"] = external_id
        return self.send("POST", "/v1/videos/effects", json=body)

    def made(self, *images: str, **options: Any) -> str:
        """The id of a new task."""
        answer = self.create(*images, **options)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["task_id"])

    def get(self, any_id: str) -> requests.Response:
        return self.send("GET", f"/v1/videos/effects/{requests.utils.quote(any_id, safe='')}")

    def task(self, any_id: str) -> dict[str, Any]:
        answer = self.get(any_id)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def video(self, any_id: str) -> dict[str, str]:
        """The first video of a done task."""
        return dict(self.task(any_id)["task_result"]["videos"][0])

    def list(self, **params: Any) -> requests.Response:
        return self.send("GET", "/v1/videos/effects", params=params)

    def listed(self, **params: Any) -> list[str]:
        return [task["task_id"] for task in self.list(**params).json()["data"]]

    def costs(self, **params: Any) -> requests.Response:
        return self.send("GET", "/account/costs", params={"start_time": "1", "end_time": "2", **params})

    def charges(self, endpoint: str = "package", **body: Any) -> requests.Response:
        span = {} if "cursor" in body else {"start_time": 0, "end_time": 10**14}
        return self.send("POST", f"/account/billing/{endpoint}", json={**span, **body})

    def all_charges(self, endpoint: str = "package", **body: Any) -> list[dict[str, Any]]:
        """All pages, as the vendor's page describes it."""
        found, answer = [], self.charges(endpoint, **body).json()["data"]
        while True:
            found += answer["result"]["detail"]
            assert answer["result"]["count"] == len(answer["result"]["detail"])
            if not answer["has_more"]:
                return found
            answer = self.charges(endpoint, cursor=answer["next_cursor"]).json()["data"]


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings of the emulator; a module or a test may have others."""
    return {}


@pytest.fixture
def kling(request: pytest.FixtureRequest, options: dict[str, Any]) -> Iterator[KlingEmulator]:
    marker = request.node.get_closest_marker("kling_emulator")
    with KlingEmulator(**{"manual_clock": True, "duration": 10.0, **options, **(marker.kwargs if marker else {})}) as emulator:
        yield emulator


@pytest.fixture
def client(kling: KlingEmulator) -> Iterator[Client]:
    client = Client(kling)
    with client.session:
        yield client


@pytest.fixture
def picture() -> Callable[..., str]:
    """A picture in base64."""

    def draw(width: int = 400, height: int = 400, *, kind: str = "PNG", color: str = "orange") -> str:
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), color).save(buffer, kind)
        return base64.b64encode(buffer.getvalue()).decode()

    return draw


def error_of(answer: requests.Response) -> tuple[int, int, str]:
    """HTTP status, code and message of a refusal, which has no data."""
    document = answer.json()
    assert document.get("data") is None
    assert document["request_id"]
    return answer.status_code, document["code"], document["message"]


@pytest.fixture
def error() -> Callable[[requests.Response], tuple[int, int, str]]:
    return error_of
