"""The file of a price book: several writers at once, and files that are no price books."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pendulum
import pytest
from airflow.providers.common.compat.sdk import conf
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.prices import (
    Observation,
    PriceBook,
    files,
    fix_price,
    learn_prices,
    price_book_location,
    read_prices,
)

AT = pendulum.datetime(2026, 11, 26, 4)


@pytest.fixture
def store():
    """A price book in an object store."""
    attach("memory", fs=MemoryFileSystem())
    yield f"memory://{uuid.uuid4().hex}/run 1/prices.json"
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["disk", "store"])
def place(request, tmp_path):
    """A price book that does not exist yet, in a folder that does not exist either."""
    return str(tmp_path / "results" / "prices.json") if request.param == "disk" else request.getfixturevalue("store")


def seen(scene: str, units: str = "2.5", at: pendulum.DateTime = AT) -> Observation:
    return Observation(scene, Decimal(units), at)


def test_what_was_learned_is_there_for_the_next_run(place):
    assert read_prices(place) == PriceBook()
    assert learn_prices(place, [seen("squish"), seen("hug_pro", "4")]) == read_prices(place)
    fix_price(place, "squish", "3.50")
    book = learn_prices(place, [seen("squish", "9", AT.add(minutes=1))])
    assert (book.price("squish").units, book.price("squish").source, book.price("hug_pro").units) == (Decimal("3.50"), "fixed", 4)
    assert fix_price(place, "squish", None).price("squish").units == 9
    with pytest.raises(KlingInputError, match="wanted is a number of units"):
        fix_price(place, "squish", "dear")


def test_nothing_new_writes_nothing(tmp_path):
    place = tmp_path / "prices.json"
    learn_prices(str(place), [seen("squish")])
    before = place.stat()
    learn_prices(str(place), [seen("squish"), seen("squish", "2.5", AT.subtract(days=1))])
    assert (place.stat().st_mtime_ns, place.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("content", [b"{", b'{"version": 99}', b"\xff\xff", b"[" * 100_000])
def test_a_damaged_file_is_never_written_over(place, content):
    learn_prices(place, [seen("squish")])
    path = ObjectStoragePath(place if "://" in place else f"file://{place}")
    path.write_bytes(content)
    for change in (lambda: learn_prices(place, [seen("emoji")]), lambda: fix_price(place, "emoji", 1), lambda: read_prices(place)):
        with pytest.raises(KlingInputError, match=r"prices\.json is no price book: it.*Correct it, or move it away"):
            change()
    assert path.read_bytes() == content


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 100)
    (tmp_path / "prices.json").write_text(" " * 101)
    with pytest.raises(KlingInputError, match="more than 100 bytes"):
        read_prices(str(tmp_path / "prices.json"))


def test_many_writers_on_a_disk_lose_nothing(tmp_path):
    place = str(tmp_path / "prices.json")

    def run(number: int) -> None:
        for step in range(10):
            learn_prices(place, [seen(f"scene_{number}_{step}"), seen("squish", str(number), AT.add(seconds=step))])
            read_prices(place)  # a reader never meets half a file

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    book = read_prices(place)
    assert book.learned.keys() == {f"scene_{number}_{step}" for number in range(8) for step in range(10)} | {"squish"}
    assert (book.price("squish").units, book.price("squish").last_seen) == (7, AT.add(seconds=9))
    assert {path.name for path in tmp_path.iterdir()} == {"prices.json", ".prices.json.lock"}


def test_another_process_keeps_the_lock(tmp_path, monkeypatch):
    place = tmp_path / "prices.json"
    learn_prices(str(place), [seen("squish")])
    code = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-S", "-c", code, str(tmp_path / ".prices.json.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        monkeypatch.setattr(files, "LOCK_TIMEOUT", 0.05)
        with pytest.raises(KlingStorageError, match="locked by another process"):
            learn_prices(str(place), [seen("emoji")])
        assert read_prices(str(place)).price("squish").units == Decimal("2.5")  # to read needs no lock
        monkeypatch.setattr(files, "LOCK_TIMEOUT", 60.0)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(learn_prices, str(place), [seen("emoji")])
            other.stdin.close()  # it ends, and with it its lock
            assert waiting.result(30).price("emoji").units == Decimal("2.5")


def test_a_store_without_locks_is_looked_at_again(store, monkeypatch):
    """Another writer reads before this one writes, and writes after it: its file lacks what this one has added."""
    place, lost, write = store, 2, files.write_text

    def overtaken(path, parts):
        nonlocal lost
        before = read_prices(place)
        write(path, parts)
        if lost:
            lost -= 1
            write(path, [before.learn([seen(f"theirs_{lost}")], now=AT).to_text()])

    monkeypatch.setattr(files, "write_text", overtaken)
    book = learn_prices(place, [seen("mine")])
    assert book == read_prices(place)
    assert book.learned.keys() == {"mine", "theirs_0", "theirs_1"}
    lost = 1000
    with pytest.raises(KlingStorageError, match="a change was lost 5 times"):
        learn_prices(place, [seen("again")])
    assert read_prices(place).learned.keys() >= {"mine", "theirs_0", "theirs_1"}


def test_a_place_that_cannot_be_written_is_an_error_of_storage(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KlingStorageError, match="could not be locked"):
        learn_prices(str(tmp_path / "file" / "prices.json"), [seen("squish")])
    (tmp_path / "prices.json").mkdir()
    with pytest.raises(KlingStorageError):
        read_prices(str(tmp_path / "prices.json"))


def test_the_file_is_for_people_too(tmp_path):
    place = tmp_path / "prices.json"
    learn_prices(str(place), [seen("let’s_ride", "4")])
    assert json.loads(place.read_text()) == {
        "version": 1,
        "fixed": {},
        "learned": {"let’s_ride": [{"units": "4", "last_seen": "2026-11-26T04:00:00Z"}]},
    }
    assert place.stat().st_mode & 0o777 == Path(tmp_path / ".prices.json.lock").stat().st_mode & 0o777


def test_the_book_lies_beside_the_results_or_where_the_setting_says(monkeypatch):
    assert price_book_location() is None
    assert price_book_location("s3://bucket/out/") == "s3://bucket/out/prices.json"
    assert price_book_location("/data/out") == "/data/out/prices.json"
    monkeypatch.setenv("AIRFLOW__KLING__PRICE_BOOK", " s3://bucket/prices.json ")
    assert conf.get("kling", "price_book").strip() == price_book_location("/data/out") == "s3://bucket/prices.json"
