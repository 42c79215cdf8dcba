"""Docstrings for Sphinx: their code blocks are Markdown's, their parameters reStructuredText's.

Types in signatures stand there as in the source, `Task | None`; those of `api` become links to it.
"""

from __future__ import annotations

import re
from typing import Any

FENCE = re.compile(r"^(\s*)```\w*$")
SUFFIX = re.compile(r"(`[^`\n]+`)(?=\w)")  # `row`s, which reStructuredText does not read as code
HOOK = "airflow_provider_kling.hooks.KlingHook."


def as_rst(lines: list[str]) -> list[str]:
    """The lines with ``` blocks as literal blocks, and with a gap after code to which letters are attached."""
    found: list[str] = []
    within = False
    for line in lines:
        if FENCE.match(line):
            within = not within
            found += ["", f"{FENCE.sub(chr(92) + '1', line)}::" if within else "", ""]
        else:
            found.append(f"    {line}" if within else SUFFIX.sub(r"\1\\ ", line))
    return found


def _read(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if name.startswith(f"{HOOK}a") and not "".join(lines):
        twin = name.removeprefix(f"{HOOK}a")
        lines[:] = [f"As :py:meth:`{twin} <{HOOK}{twin}>`, in an event loop.", ""]
    lines[:] = as_rst(lines) if lines and ":py:meth:" not in lines[0] else lines


def _link(app: Any, env: Any, node: Any, content: Any) -> Any:
    """The entry of `api` that a signature means by a name, if there is one."""
    if node.get("refdomain") != "py" or not re.fullmatch(r"[A-Z]\w*", node["reftarget"]):
        return None
    target = f"airflow_provider_kling.api.{node['reftarget']}"
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "class", target, node, content)


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _read)
    app.connect("missing-reference", _link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
