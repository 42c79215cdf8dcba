"""The command, its flags and variables, and the pytest fixture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import jwt
import pytest
import requests

from airflow_provider_kling.emulator import KlingEmulator, Settings
from airflow_provider_kling.emulator.options import parse, to_arguments

COMMAND = [sys.executable, "-m", "airflow_provider_kling.emulator"]
PRIVATE = {"allow_private_links": True, "proxies": False}  # it and its videos are on this machine


@contextmanager
def running(*flags: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, dict[str, object]]]:
    """The command, its URL, and the connection that it printed."""
    environ = {**os.environ, **{f"KLING_EMULATOR_{name}": value for name, value in variables.items()}}
    with subprocess.Popen([*COMMAND, *flags], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url, _, connection = line.removeprefix("Kling emulator on ").partition("; AIRFLOW_CONN_KLING_DEFAULT=")
        try:
            yield process, url, json.loads(connection.strip().strip("'"))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_serves_on_a_free_port_until_a_signal_ends_it(number):
    with running("--port", "0", "--slots", "3", "--log") as (process, url, connection):
        assert connection == {"conn_type": "kling", "host": url, "password": "emulator-api-key", "extra": PRIVATE}
        answer = requests.get(f"{url}/v1/videos/effects", headers={"Authorization": f"Bearer {connection['password']}"}, timeout=30)
        assert answer.json()["data"] == []
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert rest == ""
        assert errors == "1 GET /v1/videos/effects → 200 code 0 \n"


def test_command_takes_its_settings_from_the_environment():
    with running(PORT="0", SLOTS="7", MANUAL_CLOCK="true", API_KEY="one,two", ACCESS_KEY="ak:short", DURATION="3") as (
        process,
        url,
        connection,
    ):
        assert connection["password"] == "one"
        settings = requests.get(f"{url}/_emulator/state", timeout=30).json()["settings"]
        assert (settings["slots"], settings["manual_clock"], settings["duration"]) == (7, True, 3.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer PyJWT warns of so short a secret
            token = jwt.encode({"iss": "ak", "exp": 2**40, "nbf": 0}, "short", algorithm="HS256")
        for bearer in ("two", token):
            answer = requests.get(f"{url}/v1/videos/effects", headers={"Authorization": f"Bearer {bearer}"}, timeout=30)
            assert answer.status_code == 200
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")


def test_command_prints_the_access_key_if_there_is_no_api_key():
    with running("--port", "0", API_KEY="", ACCESS_KEY="ak:sk") as (_, url, connection):
        assert connection == {"conn_type": "kling", "host": url, "login": "ak", "password": "sk", "extra": PRIVATE}


def test_command_reports_that_its_port_is_in_use():
    with KlingEmulator() as kling:
        port = kling.url.rpartition(":")[2]
        ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Kling emulator: cannot listen on 127.0.0.1 port {port}")
    assert "Traceback" not in ended.stderr


def test_spawned_emulator_is_steered_in_the_same_way(monkeypatch):
    monkeypatch.setenv("KLING_EMULATOR_SLOTS", "99")
    with KlingEmulator.spawn(slots=2, manual_clock=True, risky_scene=("emoji", "squish"), video_duration=False) as kling:
        settings = kling.state["settings"]
        assert (settings["slots"], settings["manual_clock"], settings["video_duration"]) == (2, True, False)
        assert settings["risky_scene"] == ["emoji", "squish"]
        before = kling.state["now"]
        assert kling.advance(60) == before + 60


def test_flag_takes_precedence_over_its_variable():
    settings = parse(
        ["--port", "1", "--no-log", "--speed", "2"],
        {"KLING_EMULATOR_PORT": "2", "KLING_EMULATOR_LOG": "1", "KLING_EMULATOR_SPEED": "3"},
    )
    assert (settings.port, settings.log, settings.speed) == (1, False, 2.0)


def test_any_scene_is_a_flag_and_a_variable():
    assert parse([], {}).strict_scenes
    assert not parse(["--no-strict-scenes"], {}).strict_scenes
    assert not parse([], {"KLING_EMULATOR_STRICT_SCENES": "false"}).strict_scenes


def test_lists_are_repeated_or_separated_by_commas():
    settings = parse(["--api-key", "a,b", "--api-key", "c", "--access-key", "ak:s:k"], {"KLING_EMULATOR_RISKY_SCENE": "x,y"})
    assert settings.api_key == ("a", "b", "c")
    assert settings.secrets == {"ak": "s:k"}
    assert settings.risky_scene == ("x", "y")


@pytest.mark.parametrize(
    ("flags", "variables", "named"),
    [
        (["--slots", "many"], {}, "--slots"),
        (["--list-order", "odd"], {}, "--list-order"),
        (["--access-key", "no-secret"], {}, "access_key"),
        ([], {"PORT": "x"}, "KLING_EMULATOR_PORT"),
        ([], {"LOG": "maybe"}, "KLING_EMULATOR_LOG"),
        ([], {"DURATION": "-1"}, "duration"),
        ([], {"VIDEOS": "none"}, "videos"),
        ([], {"API_KEY": "", "ACCESS_KEY": ""}, "access_key"),
    ],
)
def test_wrong_setting_ends_the_command_and_is_named(capsys, flags, variables, named):
    with pytest.raises(SystemExit):
        parse(flags, {f"KLING_EMULATOR_{name}": value for name, value in variables.items()})
    assert named in capsys.readouterr().err


def test_settings_survive_the_command_line():
    settings = Settings(port=0, slots=9, api_key=("-a", "b"), log=True, video_duration=False, skew=-5, units="by-scene")
    assert parse(to_arguments(settings), {}) == settings
    assert to_arguments(Settings()) == []


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    text = capsys.readouterr().out
    for flag in ("--manual-clock", "--webhook-secret", "--link-lifetime", "--fetch-images", "--public-url"):
        assert flag in text


# --- The fixture ---------------------------------------------------------------------------------------------------


def test_fixture_sets_the_connection(kling_emulator):
    connection = json.loads(os.environ["AIRFLOW_CONN_KLING_DEFAULT"])
    assert connection["host"] == kling_emulator.url
    assert kling_emulator.state["settings"]["duration"] == 0.2


@pytest.mark.kling_emulator(slots=2, webhook_secret="whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=")
def test_marker_changes_the_settings_of_the_fixture(kling_emulator):
    assert kling_emulator.state["slots"]["limit"] == 2
    connection = json.loads(kling_emulator.connection("access_key"))
    assert (connection["login"], connection["password"]) == (kling_emulator.access_key, kling_emulator.secret_key)
    assert connection["extra"]["webhook_secret"].startswith("whsec_")
    with pytest.raises(ValueError, match="auth"):
        kling_emulator.connection("password")


def test_plugin_loads_nothing_heavy():
    code = (
        "import sys, pytest; before = set(sys.modules); import airflow_provider_kling.emulator.pytest_plugin;"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('airflow_provider_kling')))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip() == "[]"


def test_emulator_loads_neither_airflow_nor_pyav_to_start():
    code = (
        "import sys; from airflow_provider_kling.emulator import KlingEmulator\n"
        "with KlingEmulator(): print([name for name in ('airflow', 'av', 'PIL', 'jwt') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip() == "[]"
