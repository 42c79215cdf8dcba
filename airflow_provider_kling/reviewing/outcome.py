"""What became of each row: its video is published, or what kept it from that, as a line of the results."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingStorageError
from airflow_provider_kling.publishing import PublishedLine, publishing, read_lines

if TYPE_CHECKING:
    from airflow_provider_kling.arguments import Place

# What became of a row: the column `review` of its line.
PUBLISHED, REJECTED, ASKED_AGAIN = "published", "rejected", "asked again"
UNANSWERED, NOT_PUBLISHED, NO_VIDEO = "unanswered", "not published", "no video"

log = logging.getLogger(__name__)


class Review:
    """One review: the results that were reviewed, and what was decided about them."""

    def __init__(self, results: Place, decision: Mapping[str, Any]) -> None:
        self.results = results
        self.decision = decision
        self._rejected = frozenset(decision["rejected"])

    def state(self, line: Mapping[str, Any]) -> str:
        """What the review says of a line of its results; `PUBLISHED` for one that may be published."""
        if line["status"] != "succeed":
            return NO_VIDEO
        if not self.decision["answered"]:
            return UNANSWERED
        return PUBLISHED if self.decision["approved"] and line["id"] not in self._rejected else REJECTED


def reviewed(first: Review, second: Review | None = None) -> Iterator[dict[str, Any]]:
    """A line for each row of the first review, with what became of it, as far as that is decided before publishing.

    Added are `review`, `reviewed_by`, `reviewed_at`, and `rejected_kling_task_id`, the task of a rejected video in whose place
    another one was made; then the line is that of the other one.
    """
    others = {line["id"]: line for line in read_lines(second.results)} if second else {}
    for line in read_lines(first.results):
        state = first.state(line)
        if state == REJECTED and (other := others.get(line["id"])) is not None and second is not None:
            yield _with_review(other, second.state(other), second.decision, replaced=line["kling_task_id"])
        elif state == REJECTED and first.decision["ask_again"]:
            yield _with_review(line, ASKED_AGAIN, first.decision)
        else:
            yield _with_review(line, state, first.decision)


def _with_review(line: Mapping[str, Any], state: str, decision: Mapping[str, Any], *, replaced: Any = None) -> dict[str, Any]:
    return {
        **line,
        "review": state,
        "reviewed_by": decision["by"],
        "reviewed_at": decision["at"],
        "rejected_kling_task_id": replaced,
    }


def publish_reviewed(lines: Iterable[Mapping[str, Any]], folder: Place, output: Place, *, title: str) -> dict[str, Any]:
    """Publish what is approved of the lines of `reviewed` into `folder`, and write what became of each row into `output`.

    The lines get `published`, the list of a row's published places, and `publish_error`. Returns the summary that
    `write_results` returns, with `review`, the numbers of rows by what became of them, and `folder`. Raises
    KlingStorageError, after all is written, for videos that could not be published.
    """
    from airflow_provider_kling.results import write_lines

    counts: Counter[str] = Counter()
    errors: list[str] = []

    def written() -> Iterator[dict[str, Any]]:
        for one in publishing(lines, folder, only=lambda line: line["review"] == PUBLISHED):
            line = _published(one)
            counts[line["review"]] += 1
            if line["publish_error"]:
                errors.append(line["publish_error"])
            yield line

    summary = write_lines(written(), output, title=title, log_problems=False, learn_prices=False)
    log.info("Rows by what became of them: %s.", ", ".join(f"{count} {name}" for name, count in counts.items()) or "none")
    if errors:
        raise KlingStorageError(f"{len(errors)} approved rows could not be published. The first: {errors[0]}")
    return {**summary, "review": dict(counts), "folder": str(folder)}


def _published(one: PublishedLine) -> dict[str, Any]:
    """The line with what became of it: an approved row is published when all of its videos are."""
    line = {**one.line, "published": list(one.paths) or None, "publish_error": one.error}
    if line["review"] == PUBLISHED and not (one.paths and len(one.paths) == len(one.states)):
        line["review"] = NOT_PUBLISHED
        line["publish_error"] = one.error or "Its video was not saved, so that there is none to publish."
    return line
