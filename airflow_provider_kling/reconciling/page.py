"""The page of the charges: sums, and the lines that do not fit before the others. It loads nothing, and has no script. Pure."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.reconciling.lines import text_of
from airflow_provider_kling.reconciling.states import MATCHED, MEANINGS, STATES, WRONG
from airflow_provider_kling.reconciling.sums import Sum, Sums
from airflow_provider_kling.redaction import harmless
from airflow_provider_kling.results import minute, page_style

if TYPE_CHECKING:
    from jinja2 import Template

MOST_LINES = 500  # of one state
MOST_GOOD = 200  # lines that fit
MOST_SUMS = 100  # of one kind

_TONES = {"unknown": "failed", "not_charged": "failed", "units_differ": "error", "refunded": "invalid", "matched": "succeed"}
_TITLES = {"dag": ("By DAG", "DAG"), "scene": ("By scene", "Scene"), "day": ("By day", "Day"), "key": ("By key", "Key")}
_CONNECTION = ("By connection", "Connection")


def render_charges(
    lines: Iterable[Mapping[str, Any]], facts: Mapping[str, Any], *, links: Sequence[tuple[str, str]] = ()
) -> Iterator[str]:
    """The page piece by piece. Memory holds its sums and the lines that it shows: at most 500 of each state.

    `facts`: the summary that `write_charges` returns, from which the head of the page is made. `links`: names and addresses.
    """
    sums, kept = Sums(), {state: [] for state in STATES}  # type: tuple[Sums, dict[str, list[Mapping[str, Any]]]]
    for line in lines:
        sums.add(line)
        if len(kept[line["state"]]) < (MOST_GOOD if line["state"] == MATCHED else MOST_LINES):
            kept[line["state"]].append(line)
    template: Any = _template().module
    yield from map(_safe, _pieces(template, sums, kept, facts, links))


def page_policy() -> str:
    """The Content-Security-Policy of the page: it has its own style, and nothing else."""
    return f"default-src 'none'; style-src {_hash_of(_style())}; base-uri 'none'; form-action 'none'"


def _pieces(
    template: Any,
    sums: Sums,
    kept: Mapping[str, Sequence[Mapping[str, Any]]],
    facts: Mapping[str, Any],
    links: Sequence[tuple[str, str]],
) -> Iterator[str]:
    from markupsafe import Markup

    counts = sums.counts
    found = {state: _state(state, sums.by["state"].get(state, Sum())) for state in STATES if counts[state]}
    yield template.head(
        title=str(facts.get("span") or "Charges"),
        facts=facts,
        about=_about(facts),
        text=sums.text,
        several=sums.several,
        wrong=sums.wrong,
        links=links,
        states=list(found.values()),
        policy=page_policy(),
        style=Markup(_style()),  # noqa: S704 - files of this package
    )
    titles = {**_TITLES, "connection": _CONNECTION} if len(sums.by["connection"]) > 1 else _TITLES
    for group, (title, word) in titles.items():
        rows = [(name, _shown(one)) for name, one in sums.rows(group)]
        more = max(0, len(rows) - MOST_SUMS)
        yield template.sums(title=title, word=word, rows=rows[:MOST_SUMS], total=_shown(sums.total), more=more)
    for state, facts_of_state in found.items():
        shown = kept[state]
        yield template.lines_head(state=facts_of_state, lines=counts[state], shown=len(shown), open=state in WRONG)
        for line in shown:
            yield template.line(line={**line, "shown": _amount(line)})
        yield template.lines_foot()
    yield template.foot()


def _about(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the head of the page says: which accounts, when they were read, and how late charges may be."""
    accounts = facts.get("kling_conn_ids")
    about = [("accounts", ", ".join(map(str, accounts)))] if isinstance(accounts, list) and accounts else []
    if facts.get("as_of"):
        about.append(("read", minute(str(facts["as_of"]))))
    hours = facts.get("lateness_hours")
    if isinstance(hours, int | float):
        about.append(("charges may show", f"{hours:g} h late"))
    return about


def _state(state: str, one: Sum) -> dict[str, Any]:
    shown = _shown(one)
    lines = one.charges + one.missing
    units = shown["missing_units"] if not one.charges else shown["units"]
    words = {"word": state.replace("_", " "), "tone": _TONES.get(state, "waiting"), "meaning": MEANINGS[state]}
    return {"lines": lines, **shown, "units": units, **words}


def _shown(one: Sum) -> dict[str, Any]:
    money = ", ".join(f"{text_of(amount)} {currency}".rstrip() for currency, amount in sorted(one.money.items()))
    amounts = {"units": f"{text_of(one.units)}", "missing_units": f"{text_of(one.missing_units)}"}
    return {"charges": one.charges, "money": money, "missing": one.missing, **amounts}


def _amount(line: Mapping[str, Any]) -> str:
    if line["amount"] is None:
        return "none"
    return f"{line['amount']} {'units' if line['paid_with'] == 'units' else line['currency'] or ''}".rstrip()


def _safe(text: str) -> str:
    """The text without what steers or hides, line by line, and without halves of surrogate pairs, which no file can hold."""
    return "\n".join(map(harmless, text.split("\n")))


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(when=lambda time: minute(time).replace(" UTC", ""))
    return environment.from_string(_text("charges.html.j2"))


@functools.cache
def _style() -> str:
    return f"{page_style()}\n{_text('charges.css')}"


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
