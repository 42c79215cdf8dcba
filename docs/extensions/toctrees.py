"""The order of pages in the tables of contents: as index.md lists them, a pattern being all pages that no line names.

Sphinx has patterns of its own, but warns of one that matches nothing, and of a page that a pattern and a line both name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TOCTREE = re.compile(r"(```\{toctree\}\n)(.*?)(\n```)", re.DOTALL)


def expanded(markdown: str, folder: Path) -> str:
    """The page with each pattern in its toctrees replaced by the pages below the folder that it matches, by name."""
    named = {line for toctree in TOCTREE.finditer(markdown) for line in toctree[2].split("\n")}

    def pages(line: str) -> list[str]:
        if "*" not in line:
            return [line]
        found = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.glob(f"{line}.md"))
        found = [page for page in found if page not in named]
        named.update(found)
        return found

    def replaced(toctree: re.Match[str]) -> str:
        return toctree[1] + "\n".join(page for line in toctree[2].split("\n") for page in pages(line)) + toctree[3]

    return TOCTREE.sub(replaced, markdown)


def _read(app: Any, docname: str, source: list[str]) -> None:
    source[0] = expanded(source[0], Path(app.srcdir) / Path(docname).parent)


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
