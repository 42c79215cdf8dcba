"""The question that a person is asked about the videos of some results: its text, and the params of its form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_kling.links import VIDEOS_VIEW
from airflow_provider_kling.redaction import harmless, show_place
from airflow_provider_kling.reviewing.decision import APPROVE, REJECT, rows_with_video

if TYPE_CHECKING:
    from airflow.sdk import Context

MOST_CHOICES = 1000  # row ids that Airflow's form offers to choose from; for more, they are typed


def ask(context: Context, summary: Mapping[str, Any], *, may_ask_again: bool, wait: str) -> None:
    """Put the question into the task that asks: the text, and the rows to choose from. For its `pre_execute`.

    `summary` is that of the batch whose videos are reviewed; `wait` says how long there is time to answer. Raises
    AirflowSkipException where there is no video.
    """
    from airflow.providers.common.compat.sdk import AirflowSkipException
    from airflow.sdk.definitions.param import ParamsDict

    rows = list(rows_with_video(summary["results"]))
    if not rows:
        raise AirflowSkipException("There is no video to review.")
    task: Any = context["task"]
    task.body = text_of(summary, tab=tab_of(context), may_ask_again=may_ask_again, wait=wait)
    task.params = ParamsDict(question(rows, may_ask_again=may_ask_again))


def question(rows: list[str], *, may_ask_again: bool) -> dict[str, Any]:
    """The params of the form: `rejected`, a list of row ids, and `ask_again`, where that may be asked."""
    from airflow.sdk import Param

    choices: dict[str, Any] = {"examples": rows} if 0 < len(rows) <= MOST_CHOICES else {}
    rejected = Param(
        [],
        type=["array", "null"],
        title="Rejected rows",
        description="The ids of rows whose videos are not published.",
        items={"type": "string"},
        **choices,
    )
    if not may_ask_again:
        return {"rejected": rejected}
    text = "Make another video of each rejected row. It costs what the first one did, and is reviewed, too."
    return {"rejected": rejected, "ask_again": Param(False, type="boolean", title="Ask again", description=text)}


def text_of(summary: Mapping[str, Any], *, tab: str, may_ask_again: bool, wait: str) -> str:
    """The text of the question, in Markdown. Whatever comes from a manifest or a param stands in it as code."""
    from airflow_provider_kling.results import count_of, units_text

    without = summary["rows"] - summary["succeed"]
    made = f"**{count_of(summary['videos'], 'video')}** for {units_text(Decimal(summary['units']))} units" + (
        f"; {count_of(without, 'row')} of {summary['rows']:,} without a video." if without else "."
    )
    again = " With **Ask again**, another video of each rejected row is made, at the same cost." if may_ask_again else ""
    return (
        f"{made}\n\nLook at them in the tab [Videos]({tab}) of this run, or in the report {_code(str(summary['report']))}.\n\n"
        f"**{APPROVE}** publishes all but the rejected rows; **{REJECT}** publishes none of them.{again}\n\n"
        f"Without an answer within {wait}, nothing is published."
    )


def tab_of(context: Context) -> str:
    """The address of the run's tab with its videos, in Airflow's UI."""
    from airflow.providers.common.compat.sdk import conf

    run: Any = context["dag_run"]
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}/dags/{quote(run.dag_id, safe='')}/runs/{quote(run.run_id, safe='')}/plugin/{VIDEOS_VIEW}"


def _code(text: str) -> str:
    """A text as code in Markdown, which renders nothing in it."""
    text = harmless(show_place(text))
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
