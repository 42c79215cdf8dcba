"""The order of the rooms: which folder may import which, and how large a file may become."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from places import ROOT

PACKAGE = ROOT / "airflow_provider_kling"

# From the ground up: a room may import the rooms above its own line, and nothing on its line or below.
# What lies in the package's root is a room of its own; a folder is one with all that is in it.
ORDER = """
__init__ errors faces patterns values
arguments asset_uris caps get_provider_info instances metrics places mp4 naming
links redaction saving
operator_base
object_paths
storage
writable saved_videos
api
manifests client prices callbacks
results
dispatch
hooks
row_metrics retry_policy
batch outcomes asset_events reconciling
planning
task_end
triggers
lineage
operators sensors batch_trigger
decorators
mapping by_date publishing testing plugin
ended_rows
reviewing commands preload
__main__
emulator.model
emulator.videos
emulator.core
emulator.web emulator.connection
emulator.options
emulator.handle emulator.__main__
emulator
emulator.pytest_plugin
"""
FLOORS = {room: floor for floor, line in enumerate(ORDER.split("\n")) for room in line.split()}

# Imports that the order permits, and that are wrong all the same: room → what it must not import.
APART = {
    "dispatch": ["manifests", "results"],
    "client": ["manifests"],
    "emulator": ["storage", "manifests", "client", "results", "dispatch", "hooks", "batch", "outcomes", "links", "triggers"],
}

# Folders of which nothing opens a file, reads a clock or knows Airflow; OPENS are the modules that do.
PURE = ["asset_uris", "caps", "instances", "places", "naming", "redaction", "api", "callbacks", "manifests", "prices"]
PURE += ["reconciling", "emulator.model"]
OPENS = [
    "manifests.loading",
    "manifests.sources",
    "manifests.image_files",
    "prices.files",
    "reconciling.accounts",
    "reconciling.finding",
    "reconciling.writing",
]
IMPURE = {"airflow", "urllib3", "aiohttp", "socket", "os", "pathlib", "time", "asyncio", "subprocess", "tempfile"}

# Libraries that are costly to import, and the modules that may: wherever else they are needed, it is through these.
HOMES = {
    "jwt": ["api.credentials"],
    "urllib3": ["client.connections"],
    "aiohttp": ["client.aiohttp_transport"],
}

# Modules that their room hands out as a whole, for names that need one: `flows.create`.
NAMESPACES = ["client.flows"]

LONGEST_FILE = 300  # lines


class Module(NamedTuple):
    """A module of the package: its name within it, and its path."""

    name: str
    path: Path

    @property
    def room(self) -> str:
        return room_of(self.name)


def room_of(name: str) -> str:
    """The room that a module's name (within the package) belongs to."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (room := ".".join(parts[:length])) in FLOORS:
            return room
    raise AssertionError(f"{name} has no line in the order of the rooms")


def modules() -> Iterator[Module]:
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "example_dags":
            yield Module(".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path)


MODULES = list(modules())
NAMES = {module.name for module in MODULES}


@functools.cache
def imported(module: Module) -> frozenset[str]:
    """The modules that a file imports, wherever in it, also for typing alone: full names."""
    package = module.name.split(".") if module.path.stem == "__init__" else module.name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*(["airflow_provider_kling", *package] if node.level else []), *(node.module or "").split(".")]
            found |= {resolved(".".join(filter(None, base)), name.name) for name in node.names}
    return frozenset(found)


def resolved(base: str, name: str) -> str:
    """The module that `from base import name` leads to: `base.name`, where that is one, else `base`."""
    inside = f"{base}.{name}".removeprefix("airflow_provider_kling.")
    return f"{base}.{name}" if inside in NAMES or not base.startswith("airflow_provider_kling") else base


def own_imports(module: Module) -> Iterator[str]:
    """Those of the package itself, by their names within it."""
    for name in imported(module):
        package, _, inside = name.partition(".")
        if package == "airflow_provider_kling":
            yield inside or "__init__"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path.relative_to(PACKAGE).as_posix())
def test_imports_run_down_and_never_in_a_circle(module):
    for name in own_imports(module):
        room = room_of(name)
        if room == module.room:
            continue
        assert FLOORS[room] < FLOORS[module.room], f"{module.name} imports {name}, which is not below it"
        for start, banned in APART.items():
            assert not (module.name.split(".")[0] == start and room in banned), f"{module.name} imports {name}"


@pytest.mark.parametrize("room", sorted({module.room for module in MODULES}))
def test_no_circle_within_a_room(room):
    inside = {module.name: module for module in MODULES if module.room == room and module.path.stem != "__init__"}
    edges = {name: {other for other in own_imports(module) if other in inside} for name, module in inside.items()}
    while free := [name for name, others in edges.items() if not others & edges.keys()]:
        for name in free:
            del edges[name]
    assert not edges, f"circle: {', '.join(sorted(edges))}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path.relative_to(PACKAGE).as_posix())
def test_a_room_is_entered_by_its_face(module):
    """Its `__init__`: what lies behind may be moved without anybody outside noticing."""
    for name in own_imports(module):
        room = room_of(name)
        if room != module.room and (PACKAGE / Path(*room.split("."))).is_dir():
            assert name == room or name in NAMESPACES, f"{module.name} reaches into {name}"


@pytest.mark.integration
def test_every_face_hands_out_what_it_names(tmp_path):
    faces = [module.name for module in MODULES if module.path.suffix == ".pyi"]
    code = f"import importlib; [importlib.import_module('airflow_provider_kling.' + face) for face in {faces!r}]"
    subprocess.run([sys.executable, "-c", code], check=True, env={"EAGER_IMPORT": "1", "AIRFLOW_HOME": str(tmp_path), "PATH": ""})


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_know_no_airflow_and_open_nothing(room):
    for module in MODULES:
        if module.room == room and module.name not in OPENS:
            for name in imported(module) - {"importlib.resources"}:
                assert name.split(".")[0] not in IMPURE, f"{module.name} imports {name}"


def test_the_emulator_knows_no_airflow():
    for module in MODULES:
        if module.name.startswith("emulator"):
            assert not any(name.split(".")[0] == "airflow" for name in imported(module)), module.name


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library):
    users = [
        m.name for m in MODULES if library in {name.split(".")[0] for name in imported(m)} and m.name.split(".")[0] != "emulator"
    ]
    assert users == HOMES[library]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path.relative_to(PACKAGE).as_posix())
def test_no_file_is_long(module):
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_no_two_test_modules_share_a_name():
    """They are imported by their bare names, so that the second one would be an error, or the first one twice."""
    paths = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert {name: count for name, count in Counter(path.name for path in paths).items() if count > 1} == {}
