"""What Airflow sees of the package, and what its modules may know of each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from airflow_provider_kling import __version__
from airflow_provider_kling.get_provider_info import get_provider_info
from airflow_provider_kling.hooks import KlingHook

PACKAGE = ROOT / "airflow_provider_kling"
PROTOCOL = PACKAGE / "protocol"
# All modules but the emulator's and the plugin's, by their names within the package.
MODULES = {
    **{path.stem: path for path in PACKAGE.glob("*.py") if path.stem != "__init__"},
    **{f"protocol.{path.stem}": path for path in PROTOCOL.glob("*.py") if path.stem != "__init__"},
    "protocol": PROTOCOL / "__init__.py",
}


def test_airflow_finds_the_provider_and_its_connection_type():
    from airflow.providers_manager import ProvidersManager

    assert ProvidersManager().providers["airflow-provider-kling"].version == __version__
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as Hooks
    except ImportError:  # before Airflow 3.2
        Hooks = ProvidersManager  # noqa: N806
    hook = Hooks().hooks["kling"]
    assert hook is not None
    assert (hook.hook_name, hook.connection_id_attribute_name) == ("Kling AI", "kling_conn_id")
    assert hook.connection_testable


def test_the_metadata_fits_airflows_schema():
    import json

    import airflow
    import jsonschema

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_form_masks_what_is_secret_and_names_what_is_asked_for():
    (kind,) = get_provider_info()["connection-types"]
    assert kind["conn-fields"]["webhook_secret"]["schema"]["format"] == "password"
    assert set(kind["conn-fields"]) == {"max_concurrency", "timeout", "verify", "proxies", "webhook_secret"}
    assert kind["ui-field-behaviour"] == KlingHook.get_ui_field_behaviour()
    assert kind["ui-field-behaviour"]["hidden-fields"] == ["schema", "port"]


def test_every_class_named_in_the_metadata_exists():
    import importlib

    info = get_provider_info()
    modules = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]
    for module in modules:
        importlib.import_module(module)
    for path in [info["connection-types"][0]["hook-class-name"], *info["extra-links"]]:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


# Imports point one way: a module may import those of the rows above its own.
LAYERS = [
    ["errors", "get_provider_info", "spool"],
    ["effects"],
    ["protocol.paths", "protocol.codes", "protocol.reading", "protocol.credentials"],
    ["protocol.tasks", "protocol.answers"],
    ["protocol.calls", "protocol.serving"],
    ["protocol", "images", "columns"],
    ["records"],
    ["manifest", "connection", "flows", "storage"],
    ["results", "transports", "pace", "slots", "pages", "jobs", "progress"],
    ["report", "poller", "requests_transport", "aiohttp_transport"],
    ["dispatcher"],
    ["hooks", "files"],
    ["endings", "links", "earlier", "accounts"],
    ["triggers", "fanout", "seeking", "dated"],
    ["batch"],
    ["batch_trigger"],
    ["batch_operator"],
    ["sensors", "operators"],
]
PURE = ["errors", "effects", "columns", "records", "manifest", "results", "report", "flows", "pace", "pages", "slots", "connection"]
PURE += ["jobs", "progress"]
PURE += [name for name in MODULES if name.split(".")[0] == "protocol"]


def imports(path: Path) -> set[str]:
    """All modules that a file imports, wherever in it."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names} | {node.module}
    return found


def test_every_module_has_its_layer():
    assert set(MODULES) == {module for layer in LAYERS for module in layer}


@pytest.mark.parametrize("module", [module for layer in LAYERS for module in layer])
def test_imports_point_one_way(module):
    place = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    for name in imports(MODULES[module]):
        package, *parts = name.split(".")
        imported = next((found for found in (".".join(parts[:2]), *parts[:1]) if found in place), None)
        if package == "airflow_provider_kling" and imported:
            assert place[imported] < place[module], f"{module} imports {imported}"
            assert not imported.startswith("protocol.") or module.startswith("protocol"), f"{module} looks into the protocol"


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_know_no_airflow_and_open_nothing(module):
    allowed = {"importlib.resources"}
    banned = {"airflow", "requests", "aiohttp", "socket", "os", "pathlib", "time", "asyncio", "subprocess"}
    if module == "report":
        banned -= {"os", "pathlib"}
    for name in imports(MODULES[module]) - allowed:
        assert name.split(".")[0] not in banned, f"{module} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "emulator").glob("*.py")), ids=lambda path: path.stem)
def test_the_emulator_knows_no_airflow_and_only_the_pure_modules(path):
    for name in imports(path):
        parts = name.split(".")
        assert parts[0] != "airflow"
        if parts[0] == "airflow_provider_kling" and len(parts) > 1:
            assert parts[1] in ("emulator", "protocol", "effects", "errors", "__version__"), name


@pytest.mark.parametrize(
    ("library", "home"),
    [("jwt", {"protocol.credentials"}), ("requests", {"requests_transport"}), ("aiohttp", {"aiohttp_transport"})],
)
def test_a_library_has_one_home(library, home):
    modules = {"__init__": PACKAGE / "__init__.py", **MODULES}
    users = {module for module, path in modules.items() if library in {name.split(".")[0] for name in imports(path)}}
    assert users == home


def loaded(libraries: str, *, by: str) -> set[str]:
    """Which of these libraries are imported, beyond what Airflow has, by a process that imports these modules."""
    modules = ", ".join(f"airflow_provider_kling.{name}" for name in by.split())
    code = f"import airflow.sdk, sys; before = set(sys.modules); import {modules}; print(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(run.stdout.splitlines()[-1].split())
    assert f"airflow_provider_kling.{by.split()[0]}" in found
    return set(libraries.split()) & found


def test_a_dag_file_pays_for_no_http_no_images_and_no_tokens():
    assert loaded("requests aiohttp PIL jwt pendulum tenacity jinja2", by="operators sensors fanout") == set()


def test_who_only_defers_pays_for_no_http():
    """Each mapped task does, once: these take longer to import than all of this package."""
    assert loaded("requests aiohttp PIL jwt", by="accounts triggers images") == set()


def test_errors_survive_the_way_between_processes():
    import pickle

    from airflow_provider_kling import errors
    from airflow_provider_kling.protocol import Task

    originals = [
        errors.KlingManifestError("m.csv", ["line 2: no.", "line 3: no."]),
        errors.KlingSlotsFullError("full", code=1303, http_status=429, request_id="r", advice="Wait.", retry_after=2.0),
        errors.KlingConnectionError("cut", sent=True),
        errors.KlingTaskFailed(Task(kling_task_id="1", status="failed", message="no"), input_fault=True),
        errors.KlingDownloadError("dead", expired=True),
    ]
    for original in originals:
        copy = pickle.loads(pickle.dumps(original))  # noqa: S301
        assert type(copy) is type(original)
        assert str(copy) == str(original)
        assert copy.__dict__ == original.__dict__


def test_the_effects_are_those_that_were_published():
    from airflow_provider_kling.effects import scenes

    assert len(scenes()) == 327
    assert sum(scene.images == 2 for scene in scenes().values()) == 18
    assert scenes()["pet_lion"].discontinued == "2026-01-30"
    assert "let’s_ride" in scenes()
