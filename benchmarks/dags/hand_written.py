"""Four hand-written DAGs without this package, as DAG authors could write them with Airflow alone.

None of them looks a task up before it creates one, so each pays twice if it is retried at the wrong moment.
"""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import aiohttp
import requests
from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import BaseHook, BaseOperator, dag, get_current_context, task, task_group
from airflow.triggers.base import BaseTrigger, TriggerEvent

PARAMS = {"manifest": "", "output": "", "kling_conn_id": "kling_default"}
CONN_ID, OUTPUT, MANIFEST = "{{ params.kling_conn_id }}", "{{ params.output }}", "{{ params.manifest }}"
PATH = "/v1/videos/effects"
POLL = 5  # seconds between two polls, and between two creates that were refused
BUSY = (1302, 1303)
DONE = ("succeed", "failed")


def account(conn_id: str) -> tuple[str, dict[str, str]]:
    connection = BaseHook.get_connection(conn_id)
    return f"{connection.host}", {"Authorization": f"Bearer {connection.password}"}


def body(row: dict) -> dict:
    return {"effect_scene": row["effect_scene"], "input": {"image": row["image"]}}


@task
def read(manifest: str) -> list[dict]:
    with open(manifest) as file:
        return [json.loads(line) for line in file]


def save(url: str, name: str, output: str) -> str:
    from pathlib import Path

    path = Path(output) / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(requests.get(url, timeout=60).content)
    return str(path)


def video_url(task_data: dict) -> str:
    return task_data["task_result"]["videos"][0]["url"]


# --- A task for each row, which blocks


@dag(schedule=None, params=PARAMS, max_active_tasks=1000)
def hand_written_blocking():
    @task(retries=3, retry_delay=timedelta(seconds=10))
    def video(row: dict, conn_id: str, output: str) -> str:
        host, headers = account(conn_id)
        with requests.Session() as session:
            session.headers.update(headers)
            while (answer := session.post(host + PATH, json=body(row), timeout=60).json())["code"] in BUSY:
                time.sleep(POLL)
            task_id = answer["data"]["task_id"]
            while True:
                time.sleep(POLL)
                found = session.get(f"{host}{PATH}/{task_id}", timeout=60).json()["data"]
                if found["task_status"] in DONE:
                    return save(video_url(found), task_id, output)

    video.partial(conn_id=CONN_ID, output=OUTPUT).expand(row=read(MANIFEST))


# --- A deferrable operator with a trigger, one poll loop each


class VideoTrigger(BaseTrigger):
    def __init__(self, conn_id: str, task_id: str, poll: float) -> None:
        super().__init__()
        self.conn_id, self.kling_task_id, self.poll = conn_id, task_id, poll

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "hand_written.VideoTrigger", {"conn_id": self.conn_id, "task_id": self.kling_task_id, "poll": self.poll}

    async def run(self):
        connection = await BaseHook.aget_connection(self.conn_id)
        headers = {"Authorization": f"Bearer {connection.password}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                await asyncio.sleep(self.poll)
                async with session.get(f"{connection.host}{PATH}/{self.kling_task_id}") as response:
                    found = (await response.json())["data"]
                if found["task_status"] in DONE:
                    yield TriggerEvent({"task_id": self.kling_task_id, "url": video_url(found)})
                    return


class VideoSensor(BaseOperator):
    template_fields = ("kling_task_id", "conn_id", "folder")

    def __init__(self, *, kling_task_id: str, conn_id: str, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kling_task_id, self.conn_id, self.folder = kling_task_id, conn_id, folder

    def execute(self, context: Any) -> None:
        trigger = VideoTrigger(self.conn_id, self.kling_task_id, POLL)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(hours=1))

    def execute_complete(self, context: Any, event: dict) -> str:
        return save(event["url"], event["task_id"], self.folder)


class VideoOperator(BaseOperator):
    template_fields = ("row", "conn_id", "folder")

    def __init__(self, *, row: dict, conn_id: str, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row, self.conn_id, self.folder = row, conn_id, folder

    def execute(self, context: Any) -> None:
        host, headers = account(self.conn_id)
        while (answer := requests.post(host + PATH, json=body(self.row), headers=headers, timeout=60).json())["code"] in BUSY:
            time.sleep(POLL)
        trigger = VideoTrigger(self.conn_id, answer["data"]["task_id"], POLL)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(hours=1))

    def execute_complete(self, context: Any, event: dict) -> str:
        return save(event["url"], event["task_id"], self.folder)


@dag(schedule=None, params=PARAMS, max_active_tasks=1000)
def hand_written_deferrable():
    VideoOperator.partial(task_id="video", conn_id=CONN_ID, folder=OUTPUT, retries=3, retry_delay=timedelta(seconds=10)).expand(
        row=read(MANIFEST)
    )


# --- The stock HTTP operator, and a deferrable sensor


def accepted(response: Any) -> bool:
    return bool(response.json()["code"] == 0)


def task_id_of(response: Any) -> str:
    return str(response.json()["data"]["task_id"])


@dag(schedule=None, params=PARAMS, max_active_tasks=1000)
def hand_written_http():
    @task
    def bodies(manifest_rows: list[dict]) -> list[str]:
        return [json.dumps(body(row)) for row in manifest_rows]

    @task_group
    def video(data):
        header = {"Authorization": "Bearer {{ conn.get(params.kling_conn_id).password }}", "Content-Type": "application/json"}
        create = HttpOperator(
            task_id="create",
            http_conn_id=CONN_ID + "_http",
            endpoint=PATH,
            method="POST",
            headers=header,
            data=data,
            response_check=accepted,
            response_filter=task_id_of,
            extra_options={"check_response": False},
            retries=20,
            retry_delay=timedelta(seconds=POLL),
        )
        VideoSensor(task_id="wait", kling_task_id=create.output, conn_id=CONN_ID, folder=OUTPUT)

    video.expand(data=bodies(read(MANIFEST)))


# --- One task for all rows, one poller


@dag(schedule=None, params=PARAMS)
def hand_written_poller():
    @task
    def videos(rows: list[dict]) -> int:
        params = get_current_context()["params"]
        return asyncio.run(run_all(rows, params["kling_conn_id"], params["output"]))

    videos(read(MANIFEST))


async def run_all(rows: list[dict], conn_id: str, output: str) -> int:
    host, headers = account(conn_id)
    waiting, running, saved = list(rows), set(), []
    async with aiohttp.ClientSession(headers=headers) as session:
        while waiting or running:
            while waiting:
                async with session.post(host + PATH, json=body(waiting[0])) as response:
                    answer = await response.json()
                if answer["code"] in BUSY:
                    break
                running.add(answer["data"]["task_id"])
                waiting.pop(0)
            await asyncio.sleep(1)
            pages = 1 + len(running) // 500
            for number in range(1, pages + 1):
                async with session.get(host + PATH, params={"pageNum": number, "pageSize": 500}) as response:
                    found = (await response.json())["data"]
                for each in found:
                    if each["task_id"] in running and each["task_status"] in DONE:
                        running.discard(each["task_id"])
                        saved.append(await asyncio.to_thread(save, video_url(each), each["task_id"], output))
    return len(saved)


hand_written_blocking()
hand_written_http()
hand_written_deferrable()
hand_written_poller()
