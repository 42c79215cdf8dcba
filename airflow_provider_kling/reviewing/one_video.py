"""The question about one video in a loop that goes on until a person likes it, and what the answers decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_kling.redaction import is_link
from airflow_provider_kling.reviewing.question import tab_of

if TYPE_CHECKING:
    from airflow.sdk import Context

LIKE, MORE, STOP = "I like it", "Make another one", "Stop"


def ask_about(context: Context, result: Mapping[str, Any], *, wait: str) -> None:
    """Put the question into the task that asks, a HITLOperator. For its `pre_execute`.

    `result` is that of the operator which has made the video in this iteration; `wait` says how long there is time to answer.
    Raises AirflowSkipException where there is no video.
    """
    from airflow.providers.common.compat.sdk import AirflowSkipException

    if not isinstance(result, Mapping) or not result.get("videos"):
        raise AirflowSkipException("There is no video to ask about.")
    task: Any = context["task"]
    task.body = _text(result, number=_number(context), tab=tab_of(context), wait=wait)


def answer_of(response: Any) -> str:
    """The option that was chosen, from the XCom of a HITLOperator; STOP where nobody has answered, or with something else."""
    options = response.get("chosen_options") if isinstance(response, Mapping) else None
    answer = options[0] if isinstance(options, list | tuple) and len(options) == 1 else STOP
    return answer if answer in (LIKE, MORE) else STOP


def liked_video(results: Iterable[Any], responses: Iterable[Any]) -> dict[str, Any] | None:
    """The result of the last iteration, if its video was liked: a line for `publishing.publish`. Else None.

    `results` and `responses` are what the operator and the question have left in all iterations, in their order. An earlier video
    that was liked does not count: the loop went on because its answer was taken back.
    """
    result, response = (next(iter(list(values)[-1:]), None) for values in (results, responses))
    if not isinstance(result, Mapping) or answer_of(response) != LIKE:
        return None
    return {"id": result.get("row_id") or result.get("kling_task_id"), **result}


def _text(result: Mapping[str, Any], *, number: str, tab: str, wait: str) -> str:
    """The text of the question, in Markdown."""
    from airflow_provider_kling.results import decimal_of, units_text

    url = result["videos"][0].get("url")
    link = f" [Watch it]({quote(url, safe=':/?&=%#+,;@!~$-._')}) at Kling, or" if is_link(url) else ""
    cost = f" It has cost {units_text(decimal_of(result['units']))} units, and so would another one." if result.get("units") else ""
    return (
        f"**{number}**{cost}\n\nTo see the video:{link} look at it in the tab [Videos]({tab}) of this run.\n\n"
        f"**{LIKE}** publishes it. **{MORE}** pays for another one. **{STOP}** ends the run without a video.\n\n"
        f"Without an answer within {wait}, the run stops: nothing more is paid for."
    )


def _number(context: Mapping[str, Any]) -> str:
    """Which video of how many this is."""
    loop = context.get("loop")
    if loop is None:
        return "One video."
    most = loop.max_iterations
    capped = context["params"].get("max_videos")
    if isinstance(capped, int) and not isinstance(capped, bool):
        most = min(most, capped)
    return f"Video {loop.index + 1} of at most {most}."
