"""For DAGs that map over a manifest: its rows for `expand_kwargs`, and what became of them as files.

    rows = read_manifest("manifest.csv")                        # in a task; feeds .expand_kwargs(...)
    write_results("manifest.csv", "output", outcomes_of(ti, "video.create", "video.wait"))   # in a last task

`dags/kling_effects_mapped.py` shows both in their places.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.outcomes import CREATED_TASK, FAILED_RESULT

if TYPE_CHECKING:
    from airflow_provider_kling.manifests import BadRow, Manifest, Row

log = logging.getLogger(__name__)

INLINE = (
    "an image stands in the manifest itself, as base64; mapped, it would be copied into Airflow's database. "
    "Put it into a file, or use KlingEffectBatchOperator."
)


def read_manifest(
    manifest: str, *, format: str | None = None, strict: bool = False, on_bad_rows: Literal["raise", "skip"] = "raise"
) -> list[dict[str, Any]]:
    """The rows of a manifest (path or URI) as arguments of KlingEffectOperator: `row_id, effect_scene, image, images`.

    The file's suffix tells its format, unless `format` (csv, jsonl, json) does. Relative image paths count from the
    manifest's folder. Raises KlingManifestError with all bad rows at once, or leaves them out with `on_bad_rows="skip"`;
    also when there are more rows than Airflow maps. With `strict`, a scene that is unknown or discontinued makes a row bad.
    """
    read = _read(manifest, format=format, strict=strict)
    if on_bad_rows == "raise":
        read.raise_for_problems()
    for row in read.bad_rows:
        log.warning("%s: %s", read.name, row.text)
    _check_length(read.name, len(read.rows))
    log.info("%s: %d rows, %d of them bad.", read.name, len(read.rows) + len(read.bad_rows), len(read.bad_rows))
    return [_arguments(row) for row in read.rows]


def outcomes_of(ti: Any, *task_ids: str) -> Iterator[Mapping[str, Any]]:
    """What the mapped operators and sensors of these ids left about their rows, results and failures alike.

    One call to Airflow for each id and kind. Rows are told apart by `row_id`, never by position: Airflow leaves out
    what failed.
    """
    for task_id in task_ids:
        for key in ("return_value", FAILED_RESULT, CREATED_TASK):
            values = ti.xcom_pull(task_ids=task_id, key=key)
            for value in values if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else [values]:
                if isinstance(value, Mapping) and value.get("row_id") is not None:
                    yield value


def write_results(
    manifest: str, output: str, outcomes: Iterable[Mapping[str, Any]], *, format: str | None = None, strict: bool = False
) -> dict[str, Any]:
    """Write `results.jsonl` and `report.html` into `output` (a folder or URI); return a summary with their paths.

    Results have one line for each row of the manifest, in its order, whatever became of it.
    """
    from airflow_provider_kling.results import join, opened, report_title, write_lines

    with opened(manifest, format=format, strict=strict) as rows:
        return write_lines(join(map(_mappable, rows(None)), outcomes), output, title=report_title(manifest))


def _read(manifest: str, *, format: str | None, strict: bool) -> Manifest:
    from airflow_provider_kling.manifests import Manifest, Row, label
    from airflow_provider_kling.results import opened

    name = label(manifest)
    rows: list[Row] = []
    bad: list[BadRow] = []
    with opened(manifest, format=format, strict=strict) as read:
        for row in map(_mappable, read(lambda warning: log.warning("%s: %s", name, warning))):
            if isinstance(row, Row):
                rows.append(row)
            else:
                bad.append(row)
    return Manifest(name=name, rows=tuple(rows), bad_rows=tuple(bad))


def _mappable(row: Row | BadRow) -> Row | BadRow:
    """The row, but for an image written out in it, which Airflow's database is not to hold."""
    from airflow_provider_kling.manifests import BadRow, Row, is_inline

    if not isinstance(row, Row) or not any(map(is_inline, row.images)):
        return row
    return BadRow(line=row.line, number=row.number, id=row.id, columns=row.columns, problems=(INLINE,))


def _arguments(row: Row) -> dict[str, Any]:
    """All four keys in every row, as `expand_kwargs` over a task group wants them."""
    single = len(row.images) == 1
    return {
        "row_id": row.id,
        "effect_scene": row.effect_scene,
        "image": row.images[0] if single else None,
        "images": None if single else list(row.images),
    }


def _check_length(manifest: str, rows: int) -> None:
    from airflow.providers.common.compat.sdk import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    if rows > most:
        problem = (
            f"{rows:,} rows are more than Airflow maps here ([core] max_map_length = {most:,}). "
            "Use KlingEffectBatchOperator, which takes a manifest of any size in one Airflow task, or split the manifest."
        )
        raise KlingManifestError(manifest, [problem])
