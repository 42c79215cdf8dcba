"""Remembers for which files .ci/run was green, for `make release`: `begin` before the first check, `end` after the last one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MARKER = Path("build/ci/green.json")


def git(root: Path, *arguments: str, **environment: str) -> str:
    command = ["git", *arguments]
    run = subprocess.run(command, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return run.stdout.rstrip("\n")


def tree_of_files(root: Path) -> str:
    """The id of git's tree of the files as they lie there, committed or not; what git ignores is left out."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git(root, "add", "--all", ".", **index)
        return git(root, "write-tree", **index)


def begin(root: Path) -> None:
    marker = root / MARKER
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps({"began": tree_of_files(root)}), encoding="utf-8")


def end(root: Path) -> None:
    marker = root / MARKER
    began = json.loads(marker.read_text(encoding="utf-8")).get("began")
    tree = tree_of_files(root)
    if tree != began:
        marker.unlink()
        print("Files have changed while .ci/run was at work: `make release` will ask for another run.")
        return
    marker.write_text(json.dumps({"commit": git(root, "rev-parse", "HEAD"), "tree": tree}), encoding="utf-8")


if __name__ == "__main__":
    try:
        {"begin": begin, "end": end}[sys.argv[1]](Path(__file__).resolve().parent.parent)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:  # not a clone, or no git: all else works without
        print(f"Not remembered for `make release`: {error}")
