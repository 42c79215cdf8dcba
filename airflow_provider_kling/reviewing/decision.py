"""What a person has decided about the videos of some results, and the rows that are asked for once more."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.publishing import read_lines
from airflow_provider_kling.redaction import show_place

if TYPE_CHECKING:
    from airflow_provider_kling.arguments import Place

APPROVE, REJECT = "Approve", "Reject"
MOST_NAMED = 20  # row ids that an error names
MANIFEST = "manifest.jsonl"
_AGAIN = "Nothing was published. Clear the review to answer again."

log = logging.getLogger(__name__)


def rows_with_video(results: Place) -> Iterator[str]:
    """The ids of the rows of these results that have a video."""
    return (str(line["id"]) for line in read_lines(results) if line["status"] == "succeed")


def decision_of(response: Mapping[str, Any] | None, results: Place) -> dict[str, Any]:
    """What was decided about the videos of these results, from the XCom of the HITLOperator; None if it did not run.

    `{"approved": bool, "rejected": [row ids], "ask_again": bool, "answered": bool, "by": name | None, "at": ISO time | None}`.
    Nobody's answer approves nothing. Raises KlingInputError for row ids that have no video, and for what is no answer: then
    nothing was decided.
    """
    if response is None:
        return _decision()
    answer = response.get("params_input") or {}
    user = response.get("responded_by_user", {})
    if user is None:  # Airflow took the default at the time-out
        return _decision(at=response.get("responded_at"))
    options = list(response.get("chosen_options") or ())
    if options not in ([APPROVE], [REJECT]):
        raise KlingInputError(f"The review was answered with {str(options)[:100]}; wanted is {APPROVE} or {REJECT}. {_AGAIN}")
    rejected = _row_ids(answer.get("rejected"))
    _check_rows(rejected, results)
    if not isinstance(again := answer.get("ask_again", False), bool):
        raise KlingInputError(f"ask_again is {str(again)[:100]!r}; wanted is true or false. {_AGAIN}")
    return _decision(
        approved=options == [APPROVE],
        rejected=rejected,
        ask_again=again,
        answered=True,
        by=user.get("name") or user.get("id") if isinstance(user, Mapping) else None,
        at=response.get("responded_at"),
    )


def _decision(
    *,
    approved: bool = False,
    rejected: Iterable[str] = (),
    ask_again: bool = False,
    answered: bool = False,
    by: str | None = None,
    at: Any = None,
) -> dict[str, Any]:
    return {
        "approved": approved,
        "rejected": list(rejected),
        "ask_again": ask_again,
        "answered": answered,
        "by": by,
        "at": at.isoformat() if hasattr(at, "isoformat") else at,
    }


def _row_ids(value: Any) -> list[str]:
    """Row ids as the form and the REST API give them: a list, or a text with one in each line."""
    if isinstance(value, str):
        value = value.splitlines()
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str | int) and not isinstance(one, bool) for one in value):
        raise KlingInputError(f"rejected is {str(value)[:100]!r}; wanted is a list of row ids. {_AGAIN}")
    return list(dict.fromkeys(text for one in value if (text := str(one).strip())))


def _check_rows(rejected: list[str], results: Place) -> None:
    from airflow_provider_kling.results import count_of

    wrong = set(rejected)
    if wrong:
        wrong.difference_update(rows_with_video(results))
    if wrong:
        named = ", ".join(repr(one[:60]) for one in rejected[: MOST_NAMED * 50] if one in wrong)[:1000]
        raise KlingInputError(f"There is no video of {count_of(len(wrong), 'row')} that the review rejects: {named}. {_AGAIN}")


def write_rejected(manifest: Place, results: Place, decision: Mapping[str, Any], folder: str) -> str | None:
    """Write the rejected rows of a manifest as a manifest of their own into `folder`, if they are to be asked for again.

    Returns its place; None if there is nothing to ask for. Images are named by their full places. Raises KlingInputError for
    rejected rows that the manifest does not have any more.
    """
    from airflow_provider_kling.manifests import IMAGE_COLUMNS, ManifestFile, Row
    from airflow_provider_kling.object_paths import location_of, storage_path
    from airflow_provider_kling.results import count_of, to_jsonl
    from airflow_provider_kling.storage import write_text

    if not decision["ask_again"]:
        return None
    rejected = frozenset(decision["rejected"])
    wanted = {row_id for row_id in rows_with_video(results) if not decision["approved"] or row_id in rejected}
    if not wanted:
        return None
    left = set(wanted)

    def rejected_rows() -> Iterator[str]:
        for row in file.rows():
            if isinstance(row, Row) and row.id in wanted:
                left.discard(row.id)
                columns = {name: value for name, value in row.columns.items() if name not in IMAGE_COLUMNS}
                yield to_jsonl({"id": row.id, **columns, "effect_scene": row.effect_scene, **_images(row.images)}) + "\n"

    path = storage_path(folder) / MANIFEST
    with ManifestFile(manifest) as file:
        write_text(path, rejected_rows())
    if left:
        named = ", ".join(sorted(repr(one[:60]) for one in left)[:MOST_NAMED])
        raise KlingInputError(f"{show_place(str(manifest))} does not have the rejected rows {named} any more.")
    log.info("%s will be asked for again.", count_of(len(wanted), "row"))
    return location_of(path)


def _images(images: tuple[str, ...]) -> dict[str, Any]:
    return {"image": images[0]} if len(images) == 1 else {"images": list(images)}
