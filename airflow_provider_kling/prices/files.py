"""The file of a price book: read, and changed by several runs at once without losing what another one has learned.

On a local disk a change holds a lock beside the file, and the file is replaced whole. An object store has no lock: each
writer merges into what is there, and looks afterwards whether it is still there. A file that cannot be read is never
written over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.object_paths import is_local, location_of, shown, storage_path
from airflow_provider_kling.prices.book import Observation, PriceBook
from airflow_provider_kling.redaction import show_reason
from airflow_provider_kling.storage import write_text

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

FILE_NAME = "prices.json"
LARGEST = 8 * 2**20  # bytes
LOCK_TIMEOUT = 30.0  # seconds; a change takes milliseconds
LOCK_PAUSE = 0.02  # seconds
ROUNDS = 5  # writes to a place without a lock, until one is still there afterwards

Change = Callable[[PriceBook], PriceBook]


def price_book_location(results: str | None = None) -> str | None:
    """Where the price book is: the setting `[kling] price_book`, else `prices.json` in the folder or URI of the results.

    None if there is neither.
    """
    from airflow.providers.common.compat.sdk import conf

    configured = str(conf.get("kling", "price_book", fallback="") or "").strip()
    if configured:
        return configured
    return f"{results.rstrip('/')}/{FILE_NAME}" if results else None


def read_prices(location: str) -> PriceBook:
    """The price book at this path or URI; an empty one if there is no file.

    Raises KlingInputError for a file that is no price book, KlingStorageError for one that cannot be read.
    """
    return _read(storage_path(location))


def learn_prices(location: str, observations: Iterable[Observation]) -> PriceBook:
    """Add what was seen to the price book, and return it as it is now. Raises the errors of `read_prices`, too."""
    seen, now = list(observations), pendulum.now("UTC")
    return _change(storage_path(location), lambda book: book.learn(seen, now=now))


def fix_price(location: str, scene: str, units: Decimal | float | str | None) -> PriceBook:
    """Set the price of a scene by hand, in units, or set it free with None. Returns the book as it is now.

    Raises KlingInputError for what is no price, and the errors of `read_prices`.
    """
    try:
        price = None if units is None else Decimal(str(units).strip())
    except ArithmeticError:
        raise KlingInputError(f"The price of scene {scene!r} is {str(units)[:60]!r}; wanted is a number of units.") from None
    return _change(storage_path(location), lambda book: book.fix(scene, price))


def _change(path: ObjectStoragePath, change: Change) -> PriceBook:
    with _locked(path) as locked:
        for _ in range(1 if locked else ROUNDS):
            before = _read(path)
            after = change(before)
            if after == before:
                return before
            write_text(path, [after.to_text()])
            if locked:
                return after
    after = _read(path)
    if change(after) != after:
        raise KlingStorageError(f"{shown(path)} is written by so many others that a change was lost {ROUNDS} times.")
    return after


def _read(path: ObjectStoragePath) -> PriceBook:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return PriceBook()
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be read: {show_reason(error, location_of(path))}.") from None
    try:
        if len(data) > LARGEST:
            raise KlingInputError(f"it has more than {LARGEST:,} bytes")
        return PriceBook.from_text(data)
    except KlingInputError as error:
        raise KlingInputError(
            f"{shown(path)} is no price book: {error}. Correct it, or move it away; nothing was written."
        ) from None


@contextlib.contextmanager
def _locked(path: ObjectStoragePath) -> Iterator[bool]:
    """Hold the lock of a local file while the block runs. Brings whether there is one: an object store has none."""
    if not is_local(path):
        yield False
        return
    file = Path(path.path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise KlingStorageError(f"{shown(path)} could not be locked: {show_reason(error, location_of(path))}.") from None
    try:
        yield _lock(handle, path)
    finally:
        os.close(handle)  # and with it the lock


def _lock(handle: int, path: ObjectStoragePath) -> bool:
    """Take the lock. False on a file system that has none. Raises KlingStorageError if another one keeps it."""
    until = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EINTR):
                return False
        if time.monotonic() >= until:
            raise KlingStorageError(f"{shown(path)} is locked by another process for more than {LOCK_TIMEOUT:.0f} s.")
        time.sleep(LOCK_PAUSE)
