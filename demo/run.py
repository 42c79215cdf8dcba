"""The main use case, end to end: a real Airflow turns a manifest of photographs into videos.

The Kling account is an emulator on this machine. `make demo` runs this script. All output is in `build/demo`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from airflow_provider_kling.emulator import KlingEmulator

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "demo" / "manifest.csv"
BUILD = ROOT / "build" / "demo"
OUTPUT = BUILD / "output"
LOG = BUILD / "airflow.log"

SLOTS = 8  # Kling tasks that run at once
DURATION = 4.0  # seconds per Kling task; at Kling, a task takes minutes


def main() -> int:
    if BUILD.exists():
        shutil.rmtree(BUILD)
    BUILD.mkdir(parents=True)
    started = time.monotonic()
    with KlingEmulator.spawn(slots=SLOTS, duration=DURATION, jitter=0.3) as kling:
        print(f"An emulated Kling account with {SLOTS} slots listens on {kling.url}. A Kling task takes about {DURATION:.0f} s.")
        environment = airflow_environment(kling)
        with LOG.open("wb") as log:
            print("Airflow creates its database …", flush=True)
            airflow(["db", "migrate"], environment, log).wait()
            print(f"Airflow runs the DAG kling_effects_mapped on {shown(MANIFEST)} …", flush=True)
            conf = json.dumps({"manifest": str(MANIFEST), "output": str(OUTPUT)})
            run = airflow(["dags", "test", "kling_effects_mapped", "--conf", conf], environment, log)
            watch(run, kling)
        if run.returncode or not (OUTPUT / "results.jsonl").exists():
            print(f"The DAG run failed. Airflow's log is {shown(LOG)}. It ends with:\n", file=sys.stderr)
            print("\n".join(LOG.read_text(errors="replace").splitlines()[-25:]), file=sys.stderr)
            return 1
        refused = kling.state["answers"].get("create 1303", 0)
    lines = [json.loads(line) for line in (OUTPUT / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    print_table(lines)
    count = sum(line["status"] == "succeed" for line in lines)
    print(f"\n{count} videos of {len(lines)} rows in {time.monotonic() - started:.0f} s.", end=" ")
    print(f"Creates that had to wait for a slot: {refused}; none of them failed.\n")
    print(f"  report    {shown(OUTPUT / 'report.html')}   (open it in a browser: it shows the videos beside their rows)")
    print(f"  videos    {shown(OUTPUT / 'videos')}")
    print(f"  results   {shown(OUTPUT / 'results.jsonl')}")
    print(f"  log       {shown(LOG)}")
    return 0


def airflow_environment(kling: KlingEmulator) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **kept,
        "AIRFLOW_HOME": str(BUILD / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_KLING_DEFAULT": kling.connection(),
    }


def airflow(arguments: list[str], environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def watch(run: subprocess.Popen[bytes], kling: KlingEmulator) -> None:
    """Print a line whenever something changes at Kling, until the run ends."""
    started, last = time.monotonic(), ""
    while run.poll() is None:
        tasks = kling.state["tasks"]
        under_way = tasks["submitted"] + tasks["processing"]
        saved = len(list(OUTPUT.glob("videos/*.mp4")))
        now = f"{tasks['made']:3} created, {under_way} running, {tasks['succeed']:3} succeeded, {saved:3} saved"
        if tasks["made"] and now != last:
            print(f"  {time.monotonic() - started:3.0f} s  {now}", flush=True)
            last = now
        time.sleep(0.5)


def print_table(lines: list[dict]) -> None:
    rows = [("row", "scene", "status", "Kling task", "units", "file or reason")]
    for line in lines:
        videos = line["videos"] or []
        told = ", ".join(Path(video["path"]).name for video in videos) or line["error"]
        rows.append((line["id"], line["effect_scene"], line["status"], line["kling_task_id"] or "–", line["units"] or "–", told))
    widths = [max(len(str(row[column])) for row in rows) for column in range(5)]
    print()
    for row in rows:
        print("  ".join([*(str(cell).ljust(width) for cell, width in zip(row, widths, strict=False)), str(row[5])]))


def shown(path: Path) -> str:
    return os.path.relpath(path, Path.cwd())


if __name__ == "__main__":
    sys.exit(main())
