"""The faces of rooms: `__init__.pyi` lists the names that a room hands out, and each is loaded when it is first used.

In place of `lazy-loader`, which parses the stub with `ast`: 0.3 ms for each room, where a worker process that starts and defers
a task enters ten and is to load all of them in 10 ms.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _Face(ModuleType):
    """A room whose face has the last word: `flows.create` is the function, also after the module `flows.create` is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in self.__dict__["__homes__"]):
            super().__setattr__(name, value)


def face(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of this package, from the stub beside its `__init__.py`.

    With EAGER_IMPORT in the environment, all names are loaded at once: a test does so.
    """
    room = sys.modules[package]
    homes = homes_of(os.path.splitext(file)[0] + ".pyi")
    room.__dict__["__homes__"] = {name for name, home in homes.items() if home}
    room.__class__ = _Face

    def load(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        # The built-in function shows in `-X importtime`, `importlib.import_module` does not.
        module = f"{package}.{home or name}"
        __import__(module)
        value = sys.modules[module] if not home else getattr(sys.modules[module], name)
        room.__dict__[name] = value
        return value

    names = sorted(homes)
    if os.environ.get("EAGER_IMPORT"):
        for name in names:
            load(name)
    return load, lambda: list(names), list(names)


def homes_of(stub: str) -> dict[str, str]:
    """The names in a stub, each with the module that has it; an empty text for a name that is a module itself.

    A stub has comments, and imports of the form `from .module import name as name`, on one line or in brackets.
    """
    with open(stub, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    homes = {}
    for statement in "".join(lines).split("from .")[1:]:
        module, _, names = statement.partition("import")
        for name in names.strip(" ()\n").split(","):
            if name := name.strip():
                homes[name.rpartition(" ")[2]] = module.strip()
    return homes
