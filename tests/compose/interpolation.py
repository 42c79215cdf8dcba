"""Replaces variables in the strings of a compose file with the values of `.env`, as Compose does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^{}$]*))?\}|)")
_LINE = re.compile(r"""([A-Za-z_]\w*)=(?:'([^']*)'|([^'"$\s#]*))\s*(?:\s#.*)?""")


class ComposeError(Exception):
    """The compose file cannot be run. The message says why."""


def read_env(path: Path) -> dict[str, str]:
    """The variables of an `.env` file. A value is a plain word, or any text in single quotes."""
    variables: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ComposeError(f"{path.name}, line {number}: not NAME=word or NAME='…'")
        name, quoted, plain = match.groups()
        variables[name] = plain if quoted is None else quoted
    return variables


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with all variables in its strings replaced. Keys are not changed.

    An undefined variable is an error. Compose itself only warns and uses an empty string.
    """
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _replacement(match, variables), value)
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    return value


def names(value: Any) -> set[str]:
    """The names of all variables in the strings of a value."""
    if isinstance(value, str):
        return {match[2] or match[3] for match in _VARIABLE.finditer(value)} - {None}
    if isinstance(value, dict):
        return set().union(*map(names, value.values()))
    if isinstance(value, list):
        return set().union(*map(names, value))
    return set()


def _replacement(match: re.Match[str], variables: Mapping[str, str]) -> str:
    escaped, bare, braced, operator, argument = match.groups()
    if escaped:
        return "$"
    name = bare or braced
    if not name:
        raise ComposeError(f"a stray $ in {match.string!r}; $$ means a dollar")
    found = variables.get(name)
    if operator and operator.startswith(":") and found == "":
        found = None
    if operator and operator.endswith("+"):
        return argument if found is not None else ""
    if found is not None:
        return found
    if operator and operator.endswith("-"):
        return argument
    raise ComposeError(f"{name} is not set" + (f": {argument}" if argument else ""))
