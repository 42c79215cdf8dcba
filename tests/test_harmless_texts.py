"""Texts that the API sends, or that stand in files, do no harm where they end up: logs, terminals, pages, links."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import DAG
from task_runs import FakeAirflow
from test_secrets import Server, call

from airflow_provider_kling import mapping
from airflow_provider_kling.api import EffectRequest, Task
from airflow_provider_kling.errors import KlingDownloadError, KlingError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import ManifestFile
from airflow_provider_kling.redaction import harmless, is_link, show_text
from airflow_provider_kling.results import error_result, result_of
from airflow_provider_kling.results.report import render_report
from airflow_provider_kling.results.summary import Tally
from airflow_provider_kling.sensors import KlingTaskSensor

NASTY = "no\r\n2026-01-01 INFO paid\x1b[31m\x1b]8;;http://evil\x07\u202egnp.exe\u2066\u2028x\u200b\x9b1m\x00\ud800\U000e0041"


def is_harmless(text: str) -> bool:
    """Whether no character of a text ends a line, is a control or format character, or half of a pair."""
    return not [sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_what_could_forge_a_line_becomes_blanks() -> None:
    assert is_harmless(harmless(NASTY))
    assert harmless("a\r\nb\u2028c") == "a  b c"
    assert harmless("\x1b[31mred") == "\ufffd[31mred"


@pytest.mark.parametrize("text", ["图片像素无效", "naïve façade", "👩\u200d🚀 done", "नमस्ते", "a  b", "100 %"])
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("any_id", ["airflow-" + "0a" * 20, "order #7/ü", "客户-1", "a b", "x" * 256, "-1 ?&=%", "~`'\""])
def test_ids_that_the_package_accepts_stay_exact(any_id: str) -> None:
    data = {"task_id": "1", "task_status": "submitted", "task_info": {"external_task_id": any_id}}
    assert Task.from_json(data).external_task_id == any_id


# --- From the API ----------------------------------------------------------------------------------------------


def task_json(**changes: Any) -> dict[str, Any]:
    return {
        "task_id": "7",
        "task_status": "succeed",
        "task_status_msg": "",
        "task_info": {},
        "task_result": {"videos": [{"id": "v", "url": "https://host/v.mp4"}]},
        "created_at": 1,
        "updated_at": 2,
        **changes,
    }


def sensor_of_task() -> KlingTaskSensor:
    with DAG("d", schedule=None):
        return KlingTaskSensor(task_id="wait", kling_task_id="7")


class Kling(Server):
    """An API that answers each query of a task with the same answer."""

    def __init__(self) -> None:
        super().__init__(lambda *_: (self.status, self.headers, json.dumps(self.answer).encode()), name="127.0.0.1")
        self.status, self.headers, self.answer = 200, {}, {}

    def shows(self, **changes: Any) -> None:
        self.answer = {"code": 0, "message": "SUCCEED", "request_id": "r", "data": task_json(**changes)}


@pytest.fixture
def api(monkeypatch) -> Iterator[Kling]:
    with Kling() as server:
        connection = {"conn_type": "kling", "password": "key", "host": server.url, "extra": {"timeout": 20}}
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
        yield server


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("status", "headers", "answer"),
    [
        (400, {}, {"code": 1201, "message": NASTY, "request_id": NASTY}),
        (400, {}, {"code": 1201, "message": [NASTY], "request_id": {NASTY: 1}}),
        (404, {}, {"error": NASTY, "path": NASTY}),
        (200, {}, {NASTY: NASTY}),
        (200, {}, NASTY),
        (302, {"Location": "http://other/\x1b[31m\x9b"}, {}),
    ],
)
def test_no_error_of_the_api_forges_a_line(api, mode, status, headers, answer) -> None:
    api.status, api.headers, api.answer = status, headers, answer
    with pytest.raises(KlingError) as caught:
        call(KlingHook(retry_wait=0), mode, "get_task", "7")
    assert is_harmless(str(caught.value))
    assert is_harmless(caught.value.request_id or "")


def test_no_task_brings_a_forged_line(api, caplog) -> None:
    caplog.set_level("DEBUG")
    api.shows(task_status="failed", task_status_msg=NASTY, task_info={"external_task_id": NASTY}, task_result={})
    with KlingHook(retry_wait=0) as hook:
        task = hook.get_task("7")
    result = error_result(KlingError(NASTY), row_id="1", task=task)
    assert is_harmless(json.dumps(result, ensure_ascii=False))
    airflow = FakeAirflow()
    run = airflow.run(sensor_of_task())
    assert is_harmless(str(run.error))
    assert not [record for record in caplog.records if "kling" in record.name and not is_harmless(record.getMessage())]


@pytest.mark.parametrize(
    "link",
    [
        *(
            "javascript:alert(1)",
            "JavaScript://host/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "//evil.example/v",
            "v.mp4",
        ),
        *("", "http://", "https://[x/v.mp4", "https://host/v\nx.mp4", "https://host/\u202evm.mp4", " javascript:1"),
    ],
)
def test_what_is_no_web_address_becomes_no_link(api, tmp_path, link) -> None:
    """The task is done and paid for. So it stays readable, its other videos included; only the link is left out."""
    videos = [{"id": "1", "url": link, "watermark_url": link}, {"id": "2", "url": "https://host/2.mp4"}]
    api.shows(task_result={"videos": videos})
    airflow = FakeAirflow()
    sensor = sensor_of_task()
    assert airflow.run(sensor).state == "success"
    assert not is_link(link)
    assert [(video["url"], video["watermark_url"]) for video in airflow.result["videos"]] == [
        ("", None),
        ("https://host/2.mp4", None),
    ]
    assert link == "" or link not in json.dumps(airflow.xcoms["_link_KlingVideoLink"])  # it leads to Airflow's own page
    with KlingHook(retry_wait=0) as hook:
        task = hook.get_task("7")
        with pytest.raises(KlingDownloadError, match="is paid for"):
            hook.save_videos(task, str(tmp_path))
    assert Task.from_json(task.to_json()) == task
    line = {"id": "1", "effect_scene": "squish", "error": None, **result_of(task), "videos": [{"url": link, "path": None}]}
    tally = Tally()
    tally.add(line)
    page = "".join(render_report([line], title="t", summary=tally.summary))
    assert "at Kling" not in page
    assert "javascript" not in page.lower()


# --- From files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["id", "effect_scene", "image", "note"])
def test_no_cell_of_a_manifest_forges_a_line_of_a_log(tmp_path, caplog, column) -> None:
    caplog.set_level("DEBUG")
    nasty = NASTY.replace("\ud800", "").replace("\x00", "")
    row = {"id": "1", "effect_scene": "squish", "image": "https://example.com/a.jpg", "note": "", column: nasty}
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps(row) + "\n" + json.dumps({**row, nasty: 1}) + "\n", encoding="utf-8")
    rows = mapping.read_manifest(str(manifest), on_bad_rows="skip")
    with ManifestFile(str(manifest)) as file:
        read = list(file.rows())
    mapping.write_results(str(manifest), str(tmp_path / "out"), [])
    assert len(read) == 2
    assert rows is not None
    assert not [record for record in caplog.records if "kling" in record.name and not is_harmless(record.getMessage())]


def test_the_name_of_a_file_forges_no_line(tmp_path) -> None:
    name = f"{tmp_path}/no\n\x1b[31m\u202e.csv"
    with pytest.raises(KlingError) as caught:
        mapping.read_manifest(name)
    assert is_harmless(str(caught.value))
    assert is_harmless(show_text(name))
    assert is_harmless(repr(EffectRequest("squish", ["https://example.com/\u202ea.jpg"])))
