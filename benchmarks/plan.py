"""Measures the plan of a manifest with local images: `python benchmarks/plan.py [images]` prints JSON.

The images are JPEGs of 1,500 × 1,000 pixels, each another file. `peak_mb` is the memory of this process, before and after.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import tempfile
import time
from io import BytesIO
from pathlib import Path

import machine

SIZE = (1500, 1000)


def write_images(folder: Path, count: int) -> Path:
    """A manifest of so many images, each with another comment behind the same picture."""
    from PIL import Image

    noise = Image.effect_noise(SIZE, 25).convert("RGB")
    buffer = BytesIO()
    noise.save(buffer, "JPEG", quality=60)
    picture = buffer.getvalue()
    path = folder / "manifest.csv"
    with path.open("w") as file:
        file.write("id,effect_scene,image\n")
        for number in range(count):
            (folder / f"{number}.jpg").write_bytes(picture + f"{number}".encode())
            file.write(f"r{number},squish,{number}.jpg\n")
    return path


def peak() -> int:
    """The most memory that this process has had, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(count: int, folder: Path) -> dict[str, object]:
    from airflow_provider_kling.planning import PlanJob, make_plan

    path = write_images(folder, count)
    size = (folder / "0.jpg").stat().st_size
    job = PlanJob(manifest=str(path), identity=("d", "r", "t"))
    make_plan(PlanJob(manifest=str(write_images(folder / "few", 50))), log=print)
    before, started, cpu = peak(), time.perf_counter(), time.process_time()
    plan = make_plan(job, log=print)
    took = time.perf_counter() - started
    return {
        **machine.conditions(),
        "images": count,
        "kilobytes": round(size / 1024),
        "videos": plan["videos"],
        "took": round(took, 1),
        "cpu": round(time.process_time() - cpu, 1),
        "peak_mb_of_50": before,
        "peak_mb": peak(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="?", type=int, default=10_000)
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("AIRFLOW_HOME", f"{name}/airflow")
        (Path(name) / "few").mkdir()
        print(json.dumps(measure(parser.parse_args().images, Path(name))))
