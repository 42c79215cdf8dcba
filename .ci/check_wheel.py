"""What an installed wheel must have, in an environment with nothing else of this project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from importlib.metadata import entry_points, version
from pathlib import Path

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()

import airflow_provider_kling
from airflow_provider_kling.emulator.handle import KlingEmulator

package = Path(airflow_provider_kling.__file__).parent
assert "site-packages" in package.parts, package
assert version("airflow-provider-kling") == airflow_provider_kling.__version__
for name in (
    "api/effects.json",
    "api/__init__.pyi",
    "py.typed",
    "results/report.html.j2",
    "reconciling/charges.html.j2",
    "reconciling/charges.css",
    "results/report.css",
    "results/report.js",
    "emulator/videos/clip.mp4",
    "plugin/static/videos.html",
    "plugin/static/videos.js",
    "example_dags/kling_effects_mapped.py",
):
    assert (package / name).is_file(), name

command = [sys.executable, "-m", "airflow", "providers", "list", "--output", "json"]
listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
providers = json.loads(listed[listed.index("[{") :])
assert any(provider["package_name"] == "airflow-provider-kling" for provider in providers)
assert [point.value for point in entry_points(group="pytest11") if "kling" in point.name]

scenes = [sys.executable, "-m", "airflow_provider_kling", "scenes", "lion"]
assert "pet_lion_pro" in subprocess.run(scenes, capture_output=True, text=True, check=True).stdout

# Without the extra `emulator`, the emulator gives its small clip.
try:
    import av  # noqa: F401

    sys.exit("av is installed, which only the extra 'emulator' should bring")
except ImportError:
    pass
with KlingEmulator.spawn(duration=0) as kling:
    body = json.dumps({"effect_scene": "squish", "input": {"image": "https://example.com/a.jpg"}}).encode()
    headers = {"Authorization": f"Bearer {kling.api_key}", "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{kling.url}/v1/videos/effects", data=body, headers=headers)).read()  # noqa: S310
    (task,) = kling.tasks
    with urllib.request.urlopen(task["task_result"]["videos"][0]["url"]) as video:  # noqa: S310
        assert video.read()[4:8] == b"ftyp"
print("The wheel is complete: metadata, connection type, data files, example DAGs, emulator.")
