"""A shell into which the blocks of a page are pasted, one after the other, as somebody who reads the page would do."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

# Each block is a file that the shell itself reads, so that variables, jobs and `cd` last.
LOOP = """set -Em -o pipefail; trap 'said=failed' ERR
while read -r block; do said=done; . "$block" < "$block.typed" > "$block.out" 2>&1; echo $said; done"""


class Shell:
    """One bash for all pages, in a folder. Whatever its blocks start in the background ends with it."""

    def __init__(self, folder: Path, scratch: Path, environment: Mapping[str, str]) -> None:
        """`scratch` is for the blocks and what they print."""
        self.scratch, self._number = scratch, 0
        self._mark = f"TUTORIAL={uuid.uuid4()}"  # by which the processes that it has started are known
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", LOOP],
            cwd=folder,
            env={**environment, **dict([self._mark.split("=")])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def paste(self, text: str, *, typed: str = "", timeout: float = 600) -> str:
        """Run a block and return what it printed. AssertionError if one of its commands fails. `typed` is what it reads."""
        self._number += 1
        block = self.scratch / f"block-{self._number:02}"
        block.write_text(text + "\n")
        Path(f"{block}.typed").write_text(typed)
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{block}\n".encode())
        self._bash.stdin.flush()
        ready, _, _ = select.select([self._bash.stdout], [], [], timeout)
        done = bool(ready) and self._bash.stdout.readline() == b"done\n"
        printed = Path(f"{block}.out").read_text(errors="replace")
        assert done, f"{text}\n… {'failed' if ready else f'was not done after {timeout:.0f} s'} and printed:\n{printed[-6000:]}"
        return printed

    def close(self) -> None:
        """End the shell, and what its blocks have started."""
        deadline = time.monotonic() + 20
        for turn in (signal.SIGTERM, signal.SIGKILL):
            for process in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, turn)
            while turn is signal.SIGTERM and self._processes() and time.monotonic() < deadline:
                time.sleep(0.2)
        self._bash.wait(10)

    def _processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found
