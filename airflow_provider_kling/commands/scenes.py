"""The command `scenes`: which effect scenes there are."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_kling.api import STATES, Scene, find_scenes
from airflow_provider_kling.commands.output import write_json, write_table
from airflow_provider_kling.redaction import show_text

NAME = "scenes"
SUMMARY = "Lists the effect scenes that this version knows."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", nargs="*", metavar="WORD", help="only scenes with these words in their names, or similar ones")
    parser.add_argument("--images", type=int, choices=(1, 2), help="only scenes that take so many images")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    states = "; ".join(f"{state}: {meaning}" for state, meaning in STATES.items())
    parser.epilog = f"States: {states}. Region: the accounts whose list had it. Lists differ by region, and change without notice."


def run(arguments: argparse.Namespace) -> int:
    word = " ".join(arguments.word)
    found = [scene for scene in find_scenes(word) if arguments.images in (None, scene.images)]
    if not found:
        takes = {None: "", 1: " and takes one image", 2: " and takes two images"}[arguments.images]
        sys.stderr.write(f"No known scene has a name like {show_text(word)!r}{takes}; without a word, all are listed.\n")
        return 1
    if arguments.json:
        write_json([_facts(scene) for scene in found])
    else:
        write_table(("scene", "images", "state", "region"), [_row(scene) for scene in found])
    return 0


def _row(scene: Scene) -> tuple[str, ...]:
    state = f"{scene.state} {scene.discontinued or ''}".rstrip()
    return scene.name, str(scene.images), state, ", ".join(scene.regions) or "unknown"


def _facts(scene: Scene) -> dict[str, object]:
    return {
        "effect_scene": scene.name,
        "images": scene.images,
        "state": scene.state,
        "discontinued": scene.discontinued,
        "regions": scene.regions,
    }
