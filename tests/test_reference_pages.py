"""docs/reference/settings.md and docs/reference/cli.md, which are written from the code.

After a change there: `REWRITE_DOCS=1 .venv/bin/python -m pytest tests/test_reference_pages.py -p no:xdist` writes the pages.
"""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from places import ROOT

from airflow_provider_kling.commands.command_line import COMMANDS, PROGRAM
from airflow_provider_kling.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR, get_provider_info

FOLDER = ROOT / "docs" / "reference"


def item(head: str, *paragraphs: str) -> str:
    """An entry of a list, with lines of at most 130 characters."""
    text = "\n\n".join(textwrap.fill(one, 128, break_on_hyphens=False, break_long_words=False) for one in paragraphs if one)
    return f"- {head}\n\n{textwrap.indent(text, '  ')}\n"


# --- Settings

SETTINGS = """# Settings

What can be set in Airflow's configuration and in a connection. This page is written from `get_provider_info`, which Airflow reads,
too. Settings of Airflow itself that are worth a change: [Airflow settings](../production/airflow.md#settings).

## Airflow's configuration

In `airflow.cfg`, section `[kling]`, or as an environment variable. Workers, triggerers, scheduler and API server read them.
"""

CONNECTION = """
## The connection

[Connection](connection.md) explains each of them. The form of the connection type *Kling AI* calls Airflow's own fields so:
"""

EXTRAS = """
And these are the extras, in the form or as JSON in *Extra*. The caps per day and month of the section above are extras, too,
without a field in the form: [caps of an account](../guides/caps.md#caps-of-an-account).
"""


def settings_page() -> Iterator[str]:
    yield SETTINGS
    for section, of_section in get_provider_info()["config"].items():
        for name, option in of_section["options"].items():
            variable = f"AIRFLOW__{section.upper()}__{name.upper()}"
            default = f"Default: `{option['default']}`. " if option["default"] else ""
            facts = f"{default}Example: `{variable}={option['example']}`. Since {option['version_added']}."
            yield item(f"`{name}` ({option['type']})", option["description"], facts)
    yield CONNECTION
    yield "| Airflow's field | In the form | Hint |\n|---|---|---|\n" + "".join(
        f"| `{field}` | {UI_FIELD_BEHAVIOUR['relabeling'].get(field, field.capitalize())} | {hint} |\n"
        for field, hint in UI_FIELD_BEHAVIOUR["placeholders"].items()
    )
    yield EXTRAS
    for name, field in CONN_FIELDS.items():
        kind = field["schema"]["type"][0] + (", secret" if field["schema"].get("format") == "password" else "")
        yield item(f"`{name}` ({kind}), in the form *{field['label']}*", field["description"])


# --- Commands

CLI = f"""# Command line

`{PROGRAM} COMMAND`. It needs no DAG and no running Airflow. A command ends with 0; with 1 and one sentence on
stderr for an error; with 2 for a wrong command line. This page is written from the commands themselves.

`{PROGRAM}.emulator` starts an [emulator](emulator.md), whose [flags](emulator.md#flags) stand there.
"""

EXPLAINED = {
    "scenes": "[Scenes](scenes.md) has all of them.",
    "plan": "[The plan of a run](../guides/plan.md) explains what it shows.",
    "charges": "[Reconciling](../guides/reconciling.md) explains what it shows.",
}


def code(text: str) -> str:
    return f"`{text}`"


def cli_page() -> Iterator[str]:
    yield CLI
    for command in COMMANDS:
        parser = argparse.ArgumentParser(prog=f"{PROGRAM} {command.NAME}")
        command.add_arguments(parser)
        yield f"\n## {command.NAME}\n"
        yield f"{command.SUMMARY} {EXPLAINED[command.NAME]}\n"
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield item(shown(action), (action.help or "") % {**vars(action), "prog": parser.prog})
        if parser.epilog:
            yield textwrap.fill(parser.epilog, 130)


def shown(action: argparse.Action) -> str:
    """How an argument is written: `--conn-id ID`, `WORD …`, `--images {1,2}`."""
    value: Any = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return code(f"{value} …" if action.nargs in ("*", "+") else value)
    return ", ".join(code(flag if action.nargs == 0 else f"{flag} {value}") for flag in action.option_strings)


@pytest.mark.parametrize(("name", "written"), [("settings.md", settings_page), ("cli.md", cli_page)])
def test_the_page_is_what_the_code_says(name, written):
    page = re.sub(r"\n{3,}", "\n\n", "\n".join(written())).rstrip("\n") + "\n"
    if "REWRITE_DOCS" in os.environ:
        (FOLDER / name).write_text(page, encoding="utf-8")
    assert (FOLDER / name).read_text(encoding="utf-8") == page
