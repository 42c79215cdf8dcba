"""Turns of requests: within a process, among processes, and where the file they share is of no use."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from airflow_provider_kling.hooks.turns import LONGEST_QUEUE, SPACING, Turns

ACCOUNT = "https://api.example.com"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def moments(*processes: Turns) -> list[float]:
    """When the turns are that these processes take, one after the other."""
    return [time.monotonic() + process.take(ACCOUNT) for process in processes]


def apart(turns: list[float]) -> bool:
    return all(later - earlier > SPACING - 0.2 for earlier, later in zip(sorted(turns), sorted(turns)[1:], strict=False))


def test_one_process_takes_turns():
    turns = Turns()
    assert apart(moments(turns, turns, turns))
    assert turns.take("https://other.example.com") == 0


def test_processes_take_turns_with_each_other(folder):
    first, second = Turns(), Turns()
    assert apart(moments(first, second, second, first))
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "example" not in file.name


@pytest.mark.parametrize("content", [b"", b"soon", b"nan", b"inf", b"-7", b"\xff" * 40, b"1e308"])
def test_a_file_that_says_nothing_is_left_out_and_written_anew(folder, content):
    turns = Turns()
    turns.take(ACCOUNT)
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert turns.take(ACCOUNT) <= SPACING
    assert 0 < float(file.read_bytes()) < time.monotonic() + LONGEST_QUEUE


def test_without_the_file_a_process_keeps_the_distance_for_itself(folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    turns = Turns()
    assert apart(moments(turns, turns))


def test_a_link_is_not_followed_and_a_lock_that_another_one_keeps_is_not_waited_for(folder):
    import fcntl

    turns = Turns()
    turns.take(ACCOUNT)
    (file,) = folder.iterdir()
    with file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert turns.take(ACCOUNT) <= SPACING
    target = Path(folder / "target")
    target.write_bytes(b"mine")
    file.unlink()
    os.symlink(target, file)
    turns.take(ACCOUNT)
    assert target.read_bytes() == b"mine"
