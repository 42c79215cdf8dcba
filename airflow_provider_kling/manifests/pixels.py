"""How many pixels may be decoded at once, over all threads: an image of 0.7 MB may need 350 MB of memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 4_000_000  # pixels


class PixelBudget:
    """At most so many pixels at once. A larger image waits until it is alone; nobody overtakes it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    def decode(self, pixels: int, function: Callable[[], T]) -> T:
        """Call a function that decodes so many pixels, as soon as there is room for them.

        A large image gets a thread that ends with it: the C library lets each thread keep the memory that it has once used,
        and gives that of an ended thread to the next one.
        """
        with self._hold(pixels):
            if pixels < LARGE:
                return function()
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(function).result()

    @contextlib.contextmanager
    def _hold(self, pixels: int) -> Iterator[None]:
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._most)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()
