"""A walk through pages of the docs: their blocks run in one shell, in an empty folder, with a real Airflow.

What a machine that builds this project lacks is put in place of what the pages name, by `substitutes`: a port, the package
index, the host of the photographs, Kling's API. Everything else runs as it stands.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from page_blocks import Block, blocks_of, is_what_was_printed, missing_lines
from tutorial_shell import Shell

ROOT = Path(__file__).resolve().parents[2]
LOOKS = ("cat ", "ls ", "grep ", "python listing.py", "python read_mail.py")  # commands that change nothing
CLEANS_UP = "rm -rf kling"
NOT_A_FRESH_MACHINES = ("AIRFLOW", "COVERAGE", "KLING", "PYTEST", "PYTHON", "VIRTUAL_ENV")
KEY = "emulator-api-key"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Walk:
    """One reader, who pastes one block after the other and waits for nothing.

    The pages of the tutorial wait themselves, and show what is printed as a whole. The guides show what matters of it, and leave it
    to the reader to look again.
    """

    def __init__(self, folder: Path, install: Mapping[str, str]) -> None:
        """`install` are the substitutes for commands that install something."""
        self.folder = folder / "desk"
        scratch = folder / "blocks"
        self.folder.mkdir(parents=True)
        scratch.mkdir()
        emulator, airflow, bucket, mail, slack, workers, triggerer = free_ports(7)
        self.airflow = f"http://127.0.0.1:{airflow}"
        self.substitutes = {
            **install,
            "https://raw.githubusercontent.com/airflow-provider-kling/airflow-provider-kling/main": ROOT.as_uri(),
            "https://api-singapore.klingai.com": f"http://127.0.0.1:{emulator}",
            "8900": str(emulator),
            "127.0.0.1:8080": f"127.0.0.1:{airflow}",
            "5000": str(bucket),
            "8025": str(mail),
            "9010": str(slack),
            "timedelta(hours=3)": "timedelta(seconds=5)",  # a deadline
        }
        self.named = re.compile("|".join(map(re.escape, self.substitutes)))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_A_FRESH_MACHINES)}
        settings = {
            "AIRFLOW__API__PORT": str(airflow),
            "AIRFLOW__API__BASE_URL": self.airflow,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(workers),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggerer),
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "10",  # a busy machine makes Airflow fail a task that starts too slowly
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        self.look: Callable[[Block], None] = lambda block: None  # is called after each block
        self.shell = Shell(self.folder, scratch, {**kept, **settings})

    def read(self, page: Path) -> None:
        """Paste all blocks of a page; AssertionError where a command fails, or prints something else than the page shows."""
        paste = self.paste if page.parent.name == "start" else self.paste_and_look_again
        blocks, differences = blocks_of(page), []
        for number, block in enumerate(blocks):
            if block.language == "bash" and CLEANS_UP not in block.text:
                shown = blocks[number + 1] if blocks[number + 1 : number + 2] else None
                started = time.monotonic()
                differences += paste(block, shown.text if shown and shown.language == "text" else "")
                print(f"{time.monotonic() - started:6.1f} s  {block}  {block.text.splitlines()[0][:90]}", flush=True)
                self.look(block)
        assert not differences, "\n\n".join(differences)

    def clean_up(self, page: Path) -> None:
        """Paste the block that ends everything."""
        (block,) = [block for block in blocks_of(page) if CLEANS_UP in block.text]
        self.paste(block)
        assert not self.folder.joinpath("kling").exists()

    def paste(self, block: Block, shown: str = "") -> list[str]:
        """Run a block, and return where it prints something else than the page shows. AssertionError if a command fails."""
        text = self._here(block)
        printed = self.shell.paste(text, typed=f"{KEY}\n" if "read -rs" in text else "")
        return [] if not shown or is_what_was_printed(shown, printed) else [f"{block}: shown is\n{shown}\nand printed\n{printed}"]

    def paste_and_look_again(self, block: Block, shown: str = "") -> list[str]:
        """As `paste`, but the page shows some lines of many, and a command that only looks is repeated until they are there."""
        started, text = time.monotonic(), self._here(block).rstrip()
        looks = text.startswith(LOOKS) and "\n" not in text
        printed = self.shell.paste(f"{text} || true" if looks else text)
        while (missing := missing_lines(shown, printed)) and looks and time.monotonic() - started < 120:
            time.sleep(1)
            printed = self.shell.paste(f"{text} || true")
        return [f"{block}: missing {missing} in\n{printed}"] if missing else []

    def _here(self, block: Block) -> str:
        """The block with this machine's ports and hosts."""
        return self.named.sub(lambda found: self.substitutes[found[0]], block.text)

    def runs(self, dag_id: str) -> list[str]:
        """The ids of the runs of a DAG."""
        return self._ask("select run_id from dag_run where dag_id = ?", dag_id)

    def _ask(self, query: str, *values: str) -> list[str]:
        database = self.folder / "kling" / "airflow" / "airflow.db"
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            return [str(row[0]) for row in connection.execute(query, values)]

    def close(self) -> None:
        self.shell.close()
