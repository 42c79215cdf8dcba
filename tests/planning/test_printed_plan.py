"""The plan of a manifest of 200 rows as the command prints it; docs/guides/plan.md shows the same."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from places import ROOT
from planned_manifests import write_two_hundred

from airflow_provider_kling.commands import main
from airflow_provider_kling.prices import fix_price

PAGE = ROOT / "docs" / "guides" / "plan.md"
BLOCK = re.compile(r"(<!-- printed by tests/planning/test_printed_plan.py -->\n```text\n)(.*?)(```)", re.DOTALL)
MARGIN = 132  # characters of a line on the page


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the manifest, its images and a price book; the command runs in it."""
    write_two_hundred(tmp_path)
    for scene, units in {"squish": "2.5", "emoji": "4", "pet_lion_pro": "0.5"}.items():
        fix_price(str(tmp_path / "out" / "prices.json"), scene, units)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_shows_what_the_command_prints(shop, capsys):
    assert main(["plan", "manifest.jsonl", "--results", str(shop / "out"), "--no-account"]) == 0
    lines = capsys.readouterr().out.replace(f"{shop}/", "").splitlines()
    printed = "".join(f"{line if len(line) <= MARGIN else f'{line[: MARGIN - 1]}…'}\n" for line in lines)
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("REWRITE_DOCS"):
        PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{printed}{found[3]}", text), encoding="utf-8")
        return
    shown = BLOCK.search(text)
    assert shown is not None
    assert shown[2] == printed


def test_json_and_rows_are_for_programs(shop, capsys):
    arguments = ["plan", "manifest.jsonl", "--no-account", "--json", "--rows", "rows.jsonl", "--max-videos", "9", "--slots", "3"]
    assert main(arguments) == 0
    plan = json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in (shop / "rows.jsonl").read_text().splitlines()]
    assert [sum(row["state"] == state for row in rows) for state in plan["counts"]] == list(plan["counts"].values())
    assert (plan["rows"], plan["cap"]["max_videos"], plan["time"]["slots"]) == (200, 9, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.csv", "--no-account"], "nowhere.csv"),
        (["manifest.jsonl", "--conn-id", "nobody"], "Connection 'nobody' is not defined"),
        (["manifest.jsonl", "--no-account", "--max-videos", "few"], "max_videos is 'few'; wanted is a whole number"),
        (["manifest.jsonl", "--no-account", "--max-units", "5"], "no price of any scene is known"),
        (["manifest.jsonl", "--no-account", "--shard", "4/3"], "shard is '4/3'"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(shop, capsys, arguments, sentence):
    assert main(["plan", *arguments]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert sentence in printed.err
