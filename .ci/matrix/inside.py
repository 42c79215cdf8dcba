"""Checks of an installed wheel, run by the Python of its environment: `inside.py imports|providers|dag FOLDER PHOTO`."""

from __future__ import annotations

import email
import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import distribution, version
from pathlib import Path

import airflow_provider_kling

PACKAGE = Path(airflow_provider_kling.__file__).parent
NAME = "airflow-provider-kling"


def imports() -> str:
    """Import every module. A warning that one of its lines causes, as by a deprecated name, is a failure."""
    names = sorted(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
    modules = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for module in modules:
            importlib.import_module(module)
    ours = [str(warning.message) for warning in caught if Path(warning.filename).is_relative_to(PACKAGE)]
    assert not ours, ours
    return f"{len(modules)} modules"


def providers(folder: Path) -> str:
    """What Airflow knows of the package."""
    shown = airflow(folder, "providers", "get", NAME, "--output", "json")
    (provider,) = json.loads(shown[shown.index("[{") :])
    found = provider["Version"] if "Version" in provider else provider["package_version"]
    assert found == version(NAME), provider
    return str(found)


def dag(folder: Path, photo: str) -> str:
    """One of the sample DAGs, on a manifest of three rows, against an emulated account."""
    from airflow_provider_kling.emulator import KlingEmulator

    manifest, output = folder / "manifest.csv", folder / "output"
    rows = [f"{scene},{scene},{photo}\n" for scene in ("squish", "expansion", "dollar_rain")]
    manifest.write_text("id,effect_scene,image\n" + "".join(rows), encoding="utf-8")
    airflow(folder, "db", "migrate")
    with KlingEmulator.spawn(slots=2, duration=0.5) as kling:
        os.environ["AIRFLOW_CONN_KLING_DEFAULT"] = kling.connection()
        conf = json.dumps({"manifest": str(manifest), "output": str(output)})
        airflow(folder, "dags", "test", "kling_effects_mapped", "--conf", conf)
        assert len(kling.ledger) == len(rows), kling.ledger
    results = [json.loads(line) for line in (output / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [result["status"] for result in results] == ["succeed"] * len(rows), results
    assert all(Path(result["videos"][0]["path"]).is_file() for result in results), results
    return f"{len(results)} videos"


def airflow(folder: Path, *arguments: str) -> str:
    """Run a command of Airflow in a home of its own and return its output."""
    settings = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PACKAGE / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    command = [sys.executable, "-m", "airflow", *arguments]
    done = subprocess.run(command, env={**os.environ, **settings}, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"airflow {arguments[0]} {arguments[1]}: exit code {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done.stdout


def versions() -> str:
    """The Airflow and the Python of this environment, and the Pythons that this Airflow says it supports."""
    metadata = email.message_from_string(distribution("apache-airflow-core").read_text("METADATA") or "")
    classifiers = metadata.get_all("Classifier") or []
    pythons = [line.rpartition(" ")[2] for line in classifiers if line.startswith("Programming Language :: Python :: 3.")]
    return json.dumps({"airflow": version("apache-airflow"), "python": sys.version.split()[0], "pythons": pythons})


if __name__ == "__main__":
    check, folder, photo = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    checks: dict[str, Callable[[], str]] = {
        "versions": versions,
        "imports": imports,
        "providers": lambda: providers(folder),
        "dag": lambda: dag(folder, photo),
    }
    assert "site-packages" in PACKAGE.parts, PACKAGE
    print(checks[check]())
