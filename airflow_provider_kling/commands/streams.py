"""Where the lines of a command go: what it prints to stdout, and all that Airflow logs to stderr."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def logs_on_stderr() -> Iterator[TextIO]:
    """Yields the stdout to print to; whatever else writes to stdout in the block, as Airflow's logs do, writes to stderr.

    Airflow keeps the stdout that it has found when it was imported, so the file descriptors change places.
    """
    stdout = sys.stdout
    stdout.flush()
    try:
        number = stdout.fileno()
    except io.UnsupportedOperation:  # a stdout that is no file, as in a program that runs the command itself
        with contextlib.redirect_stdout(sys.stderr):
            yield stdout
        return
    kept = os.dup(number)
    os.dup2(sys.stderr.fileno(), number)
    out = os.fdopen(kept, "w", encoding=stdout.encoding, errors="backslashreplace", closefd=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield out
        out.flush()
    finally:
        stdout.flush()
        os.dup2(kept, number)
        with contextlib.suppress(BrokenPipeError):
            out.close()
        os.close(kept)
