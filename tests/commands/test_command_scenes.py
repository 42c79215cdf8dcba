"""`python -m airflow_provider_kling scenes`, run as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "airflow_provider_kling"]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8", **variables}
    return subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, encoding="utf-8", check=False)


def names(*arguments: str) -> list[str]:
    found = run("scenes", "--json", *arguments)
    assert (found.returncode, found.stderr) == (0, "")
    return [scene["effect_scene"] for scene in json.loads(found.stdout)]


def test_a_word_finds_its_scenes_as_a_table():
    found = run("scenes", "lion")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines() == [
        "scene           images  state                    region",
        "lion_dance      1       current                  Singapore",
        "lion_dance_pet  1       current                  Singapore",
        "pet_lion        1       discontinued 2026-01-30  unknown",
        "pet_lion_pro    1       current                  Singapore",
    ]


def test_json_has_the_same_for_programs():
    [scene] = json.loads(run("scenes", "let's ride", "--json").stdout)
    facts = {"images": 1, "state": "unknown", "discontinued": None, "regions": ["Singapore"]}
    assert scene == {"effect_scene": "let’s_ride", **facts}
    assert json.loads(run("scenes", "hug", "--json", "--images", "2").stdout)[0]["discontinued"] == "2026-01-30"


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["Lion", "PET"], "lion_dance_pet"),
        (["pet-lion pro"], "pet_lion_pro"),
        (["chrismas"], "christmas_photo_shoot"),
        (["birtday", "star"], "birthday_star"),
        (["pet_loin_pro"], "pet_lion_pro"),
    ],
)
def test_words_are_found_in_any_writing_and_with_typos(words, first):
    assert names(*words)[0] == first


def test_without_a_word_all_are_listed():
    assert len(names()) == 327
    assert len(names("--images", "2")) == 18


def test_nothing_found_is_a_sentence_and_exit_code_1():
    found = run("scenes", "xyzzy\x1b[31m", "--images", "2")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "No known scene has a name like 'xyzzy�[31m' and takes two images; without a word, all are listed.\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["scene"], "argument COMMAND: invalid choice: 'scene' (choose from "),
        (["scenes", "--images", "3"], "argument --images: invalid choice: "),
        (["scenes", "--imag", "1"], "unrecognized arguments: --imag"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(arguments, what):
    found = run(*arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.count("\n") == 1
    assert what in found.stderr
    assert found.stderr.endswith("--help\n")


def test_help_names_the_commands_and_the_states():
    assert "scenes" in run("--help").stdout
    assert all(state in run("scenes", "--help").stdout for state in ("current", "discontinued", "unknown"))


def test_a_terminal_without_utf_8_and_a_reader_that_leaves_are_no_errors():
    ascii_only = run("scenes", "ride", PYTHONIOENCODING="ascii")
    assert (ascii_only.returncode, "let\\u2019s_ride" in ascii_only.stdout) == (0, True)
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen([*COMMAND, "scenes"], stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == 0


def test_the_command_needs_no_airflow(tmp_path: Path):
    costly = "{'airflow', 'requests', 'aiohttp', 'pendulum', 'PIL', 'jwt', 'jinja2'}"
    code = f"import sys; from airflow_provider_kling.commands import main; main(['scenes']); print({costly} & set(sys.modules))"
    environ = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "home")}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("\nset()\n")
    assert not (tmp_path / "home").exists()
