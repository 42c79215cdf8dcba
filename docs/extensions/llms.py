"""llms.txt and llms-full.txt (llmstxt.org): the site as Markdown, in the order of the tables of contents, for language models.

`llms.txt` lists the pages with one sentence each, and links to their Markdown, which is copied beside the HTML. `llms-full.txt`
is all of them in one file. The Markdown of pages made from docstrings says nothing, so their text is what Sphinx makes of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.builders.text import TextBuilder
from sphinx.writers.text import TextTranslator

LONGEST = 200  # characters of the sentence beside a page
GENERATED = "```{eval-rst}"


def _chapters(env: Any) -> Iterator[tuple[str, list[str]]]:
    """The captions of the home page's tables of contents, with the pages below each, in their order."""
    for toctree in env.get_doctree(env.config.root_doc).findall(addnodes.toctree):
        yield toctree["caption"], [page for entry in toctree["includefiles"] for page in _with_children(env, entry)]


def _with_children(env: Any, page: str) -> Iterator[str]:
    yield page
    for child in env.toctree_includes.get(page, []):
        yield from _with_children(env, child)


def _first_sentence(doctree: nodes.document) -> str:
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        sentence = re.match(r".+?\.(?= |$)", text)
        short = sentence[0] if sentence else text
        return short if len(short) <= LONGEST else f"{short[:LONGEST]}…"
    return ""


def _markdown(app: Any, page: str) -> str:
    """The page as Markdown; one made from docstrings as the text that Sphinx makes of it."""
    source = Path(app.env.doc2path(page)).read_text(encoding="utf-8")
    if GENERATED not in source:
        return re.sub(r"```\{toctree\}.*?```\n?", "", source, flags=re.DOTALL).strip() + "\n"
    builder = TextBuilder(app, app.env)
    builder.init()
    doctree = app.env.get_and_resolve_doctree(page, app.builder)
    translator = TextTranslator(doctree, builder)
    doctree.walkabout(translator)
    return f"{translator.body.strip()}\n"


def _write(app: Any, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    out, env = Path(app.outdir), app.env
    home = env.get_doctree(app.config.root_doc)
    listed = [f"# {app.config.project} {app.config.release}", "", f"> {_first_sentence(home)}"]
    whole = [_markdown(app, app.config.root_doc)]
    for caption, pages in _chapters(env):
        listed += ["", f"## {caption}", ""]
        for page in pages:
            text = _markdown(app, page)
            target = out / f"{page}.md"
            target.write_text(text, encoding="utf-8")
            title = env.titles[page].astext()
            listed.append(f"- [{title}]({page}.md): {_first_sentence(env.get_doctree(page))}")
            whole.append(f"<!-- {page}.md -->\n\n{text}")
    (out / "llms.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    (out / "llms-full.txt").write_text("\n".join(whole), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
