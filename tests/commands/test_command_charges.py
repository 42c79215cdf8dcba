"""`python -m airflow_provider_kling charges`, run as a command against the emulator."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pendulum
import pytest

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.commands import main
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.mapping import write_results
from airflow_provider_kling.results import result_of

COMMAND = [sys.executable, "-m", "airflow_provider_kling", "charges"]
REQUEST = EffectRequest("pet_lion_pro", ["https://example.com/a.jpg"])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def days(kling) -> tuple[str, str]:
    """The days of this test, which may begin before a midnight and end after it."""
    now = pendulum.now("UTC")
    return now.subtract(days=1).to_date_string(), now.add(days=1).to_date_string()


@pytest.fixture
def results(kling, tmp_path) -> Path:
    """Two videos of rows, one of them with less units than it has cost; and a charge of another program."""
    hook = KlingHook()
    made = []
    for number in range(2):
        task = hook.get_task(hook.create_task(REQUEST, external_task_id=f"order-{number}").kling_task_id)
        made.append({**result_of(task, effect_scene="pet_lion_pro"), "row_id": f"row-{number}"})
    made[1]["units"] = "1"
    made.append({**made[0], "row_id": "free", "kling_task_id": "7"})
    write_results(None, str(tmp_path / "out"), made)
    kling.charge("0.25")
    return tmp_path / "out"


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=50, duration=0)
def test_tables_say_what_was_charged_for_what(results, days):
    found = run("--start", days[0], "--end", days[1], "--results", str(results), "--lateness", "0")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0] == f"Charges for tasks created {days[0]} to {days[1]}, UTC"
    assert lines[1] == "3 charges: 5.25 units; 1 unknown, 1 not charged, 1 units differ, 1 matched"
    tables = [" ".join(line.split()) for line in lines]
    assert "matched 1 2.5 units 0 0" in tables
    assert "pet_lion_pro 2 5 units 1 2.5" in tables
    assert "another program 1 0.25 units 0 0" in tables
    assert "units differ: charged with other units than the result says" in lines
    assert any("row-1" in line and "2.5" in line for line in lines)
    assert "The results name 3 Kling tasks." in found.stderr


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=50, duration=0)
def test_json_and_csv_have_each_line_and_nothing_else_on_stdout(results, days, tmp_path):
    arguments = ("--start", days[0], "--end", days[1], "--results", str(results), "--lateness", "0")
    found = json.loads(run(*arguments, "--json", "--output", str(tmp_path / "table")).stdout)
    assert [line["state"] for line in found["lines"]] == ["matched", "units_differ", "unknown", "not_charged"]
    assert [line["row_id"] for line in found["lines"]] == ["row-0", "row-1", None, "free"]
    assert (found["charges"], found["units"], found["timezone"]) == (3, "5.25", "UTC")
    assert found["sums"]["key"][0] == {
        "name": "API key 1", "charges": 2, "units": "5", "money": {}, "tasks_without_charge": 0, "units_without_charge": "0",
    }  # fmt: skip
    assert [json.loads(text) for text in (tmp_path / "table" / "charges.jsonl").read_text().splitlines()] == found["lines"]
    table = list(csv.DictReader(io.StringIO(run(*arguments, "--csv").stdout)))
    assert [row["row_id"] for row in table] == ["row-0", "row-1", "", "free"]


@pytest.mark.kling_emulator(slots=50, duration=0)
def test_without_results_nothing_is_called_unknown(kling, days, capsys):
    kling.charge("0.25", times=2)
    assert main(["charges", "--start", days[0], "--end", days[1]]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "2 charges: 0.5 units; 2 not compared"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--start", "November"], 1, "The start of the charges is 'November'; wanted is a date like 2026-11-01"),
        (["--start", "2026-11-02", "--end", "2026-11-01"], 1, "not before its end"),
        (["--start", "2026-11-02", "--timezone", "Mars"], 1, "The time zone is 'Mars'"),
        (["--start", "2026-11-02", "--conn-id", "nowhere"], 1, "Connection 'nowhere' is not defined"),
        (["--start", "2026-11-02", "--lateness", "-1"], 1, "wanted is a number of hours"),
        (["--start", "2026-11-02", "--lateness", "nan"], 1, "wanted is a number of hours"),
        (["--start", "2026-11-02", "--results", "no/such/folder"], 1, "it does not exist"),
        (["--start", "2026-11-02", "--json", "--csv"], 2, "not allowed with"),
        ([], 2, "--start"),
    ],
)
def test_what_cannot_work_is_one_sentence_on_stderr(arguments, code, text, capsys):
    with contextlib.ExitStack() as ends:
        if code == 2:
            ends.enter_context(pytest.raises(SystemExit, match="2"))
        assert main(["charges", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert text in printed.err.splitlines()[-1]


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=50, duration=0)
def test_a_reader_that_has_seen_enough_is_no_error(kling, days):
    kling.charge("0.25", times=2000)
    arguments = ["--start", days[0], "--end", days[1], "--csv"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"day,state")
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 0
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors
