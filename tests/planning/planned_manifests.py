"""A manifest of 200 rows with every kind of bad row, and plans of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from airflow_provider_kling.planning import PlanJob, make_plan

IDENTITY = ("d", "scheduled__2026-01-01", "batch")
SCENES = ("squish", "emoji", "pet_lion_pro", "expansion")  # the last one has no known price


def save(path: Path, size: tuple[int, int] = (400, 300), format: str = "JPEG") -> Path:
    Image.effect_noise(size, 40).save(path, format)
    return path


def bad_images(folder: Path) -> list[str]:
    """Images of every kind that Kling would refuse, as a manifest names them."""
    save(folder / "small.jpg", (299, 299))
    save(folder / "wide.jpg", (1000, 320))
    save(folder / "really.gif", format="GIF")
    save(folder / "animation.png", format="GIF")
    whole = save(folder / "whole.png", format="PNG").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "checksum.png").write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.jpg").write_bytes(b"")
    with (folder / "large.jpg").open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    (folder / "folder.jpg").mkdir()
    files = ("small.jpg", "wide.jpg", "really.gif", "animation.png", "truncated.png", "checksum.png", "text.jpg", "empty.jpg")
    return [*files, "large.jpg", "folder.jpg", "nowhere.jpg", "nofs://bucket/a.jpg", "https://", "data:image/png;base64,AAAA"]


def bad_rows(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"effect_scene": "squish", "image": image} for image in bad_images(folder)]
    url = "https://example.com/a.jpg"
    rows += [
        {"effect_scene": "hug_pro", "image": url},
        {"effect_scene": "squish", "images": [url, url]},
        {"effect_scene": "", "image": url},
        {"effect_scene": 7, "image": url},
        {"effect_scene": "squish"},
        {"effect_scene": "squish", "image": ["no text"]},
        {"effect_scene": "squish", "image": url, "image_1": url},
        {"effect_scene": "squish", "image": url, "status": "reserved"},
    ]
    return [{"id": f"bad{number}", **row} for number, row in enumerate(rows)] + [
        {"id": "g3", "effect_scene": "squish", "image": url},
        {"id": "a\x00b", "effect_scene": "squish", "image": url},
        {"id": "doubt1", "effect_scene": "squizh", "image": url},
        {"id": "doubt2", "effect_scene": "pet_lion", "image": url},
        {"id": "risky", "effect_scene": "squish", "image": "https://example.com/risk.jpg"},
    ]


def write_two_hundred(folder: Path) -> str:
    """The manifest: some rows have links, others local images; the bad rows stand among them."""
    save(folder / "good.jpg")
    bad, rows = bad_rows(folder), []
    for number in range(200 - len(bad)):
        image = "good.jpg" if number % 3 else f"https://example.com/{number}.jpg"
        rows.append({"id": f"g{number}", "effect_scene": SCENES[number % len(SCENES)], "image": image})
    for number, row in enumerate(bad):
        rows.insert(7 + number * 5, row)
    path = folder / "manifest.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def planned(folder: Path, manifest: str, **options: Any) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The plan, and its rows by the number of their line."""
    job = PlanJob(manifest=manifest, **{"results": str(folder / "out"), "rows": str(folder / "rows.jsonl"), **options})
    plan = make_plan(job, log=print)
    return plan, {row["line"]: row for row in map(json.loads, (folder / "rows.jsonl").read_text().splitlines())}
