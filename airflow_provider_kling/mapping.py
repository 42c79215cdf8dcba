"""For DAGs that map over a manifest: its rows for `expand(row=…)`, and its results as files. For use within tasks.

    rows = read_manifest("manifest.csv")                                                     # in the first task
    write_results("manifest.csv", "output", outcomes_of(ti, "video.create", "video.wait"))   # in the last task

`dags/kling_effects_mapped.py` is a whole DAG with both. What costs time to import is imported within the functions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.redaction import show_place

if TYPE_CHECKING:
    from airflow_provider_kling.arguments import Place
    from airflow_provider_kling.manifests import BadRow, Manifest, Row

LONGEST_COLUMN = 200  # characters of a column that a row hands out

log = logging.getLogger(__name__)

INLINE_IMAGE = (
    "an image stands in the manifest itself, as base64; mapped, it would be copied into Airflow's database. "
    "Put it into a file, or use KlingEffectBatchOperator."
)


def read_manifest(
    manifest: Place,
    *,
    format: str | None = None,
    strict: bool = False,
    on_bad_rows: Literal["raise", "skip"] = "raise",
    file_name: str | None = None,
) -> list[dict[str, Any]]:
    """The rows of a manifest (path or URI) for `expand(row=…)`: dicts of `row_id, effect_scene, image, images`.

    Where a manifest has further columns, a row has them as `columns`, as far as a file name can use them: texts (of at most 200
    characters), numbers and truth values. Give the `file_name` of the operator or sensor, and `columns` has those alone that it
    names, and names are checked: KlingManifestError for two rows whose videos would have the same one, KlingInputError for a
    column that no row has.

    The file's suffix tells its format, unless `format` (csv, jsonl, json) does. Relative image paths count from the
    manifest's folder. With `strict`, a scene that is unknown or discontinued makes a row bad; otherwise it is a warning.
    Raises KlingManifestError with all bad rows at once, or, with `on_bad_rows="skip"`, logs them and leaves them out. Raises
    it also for more rows than Airflow maps, and KlingInputError for a file that cannot be read.
    """
    from airflow_provider_kling.manifests import Manifest, ManifestFile
    from airflow_provider_kling.naming import check_fields, columns_of

    if file_name is not None:
        check_fields(file_name, columns=None)
    with ManifestFile(manifest, format=format, strict=strict) as file:
        rows = map(_without_inline_images, file.rows(lambda warning: log.warning("%s: %s", file.name, warning)))
        read = Manifest.of(rows, name=file.name)
    if on_bad_rows == "raise":
        read.raise_for_problems()
    for row in read.bad_rows:
        log.warning("%s: %s", read.name, row.text)
    _check_length(read.name, len(read.rows))
    log.info("%s: %d rows, %d of them bad.", read.name, len(read.rows) + len(read.bad_rows), len(read.bad_rows))
    _check_names(read, file_name)
    named = None if file_name is None else columns_of(file_name)
    return [_arguments(row, named) for row in read.rows]


def outcomes_of(ti: Any, *task_ids: str) -> list[dict[str, Any]]:
    """What the mapped operators and sensors with these task ids left: one entry for each row, be it a result or a failure.

    What create and wait left of a row is one entry. They are joined by `row_id` or, without a manifest, by the id of the Kling
    task: a position would mislead, because Airflow leaves failed task instances out of the XComs of a mapped task. An entry
    without a `row_id` and a task is of its own. Asks Airflow once for each task id and XCom key.
    """
    from airflow_provider_kling.results import merge

    return merge(_left_by(ti, task_ids))


def _left_by(ti: Any, task_ids: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    from airflow_provider_kling.results import CREATED_TASK, FAILED_RESULT

    for task_id in task_ids:
        for key in ("return_value", FAILED_RESULT, CREATED_TASK):
            values = ti.xcom_pull(task_ids=task_id, key=key)
            for value in values if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else [values]:
                if isinstance(value, Mapping) and not value.keys().isdisjoint(("row_id", "kling_task_id")):
                    yield value


def write_results(
    manifest: Place | None,
    output: Place,
    outcomes: Iterable[Mapping[str, Any]],
    *,
    format: str | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Write `results.jsonl` and `report.html` into `output` (a folder or URI).

    Results have one line for each row of the manifest, in its order, bad and failed rows included; without a manifest (None),
    one line for each outcome. An outcome without `row_id` belongs to no row of a manifest, and is left out. Give the same `format`
    and `strict` as to `read_manifest`. Returns a summary: `rows`, the number of rows for each status, `units`, `videos`, and
    the locations `results` and `report`.
    """
    from airflow_provider_kling.manifests import ManifestFile
    from airflow_provider_kling.results import join, lines_without_rows, merge, report_title, write_lines

    if manifest is None:
        return write_lines(lines_without_rows(merge(outcomes)), output, title="Results")
    with ManifestFile(manifest, format=format, strict=strict) as file:
        of_rows = (outcome for outcome in outcomes if outcome is None or outcome.get("row_id") is not None)
        lines = join(map(_without_inline_images, file.rows()), of_rows)
        return write_lines(lines, output, title=report_title(file.location), manifest=file.location)


def _without_inline_images(row: Row | BadRow) -> Row | BadRow:
    """The row; a BadRow for one that holds an image as base64, which does not belong into Airflow's database."""
    from airflow_provider_kling.manifests import BadRow, Row
    from airflow_provider_kling.redaction import is_inline

    if not isinstance(row, Row) or not any(map(is_inline, row.images)):
        return row
    return BadRow(
        line=row.line, number=row.number, id=row.id, columns=row.columns, problems=(INLINE_IMAGE,), kind="image", images=row.images
    )


def _check_names(manifest: Manifest, file_name: str | None) -> None:
    """Raise an error if the videos of these rows cannot have the names that this template gives them."""
    from airflow_provider_kling.naming import NameCheck, SaveAs

    names = NameCheck(SaveAs(file_name=file_name))
    for row in manifest.rows:
        columns = {name: _short(value) for name, value in row.columns.items()}
        names.see(place=row.place, line=row.line, row_id=row.id, effect_scene=row.effect_scene, columns=columns)
    names.check(manifest.name)
    for field in names.shadowed:
        log.warning("file_name: {%s} is not the column of that name, but the %s of the run or task.", field, field)


def _columns(row: Row, named: Collection[str] | None) -> dict[str, Any]:
    """The row's further columns that a file name can use; with `named`, these alone, None for those that the row does not have."""
    from airflow_provider_kling.manifests import KNOWN_COLUMNS

    if named is not None:
        return {name: _short(row.columns.get(name)) for name in sorted(named)}
    further = {name: value for name, value in row.columns.items() if name not in KNOWN_COLUMNS}
    return {name: _short(value) for name, value in further.items() if not isinstance(value, list | dict)}


def _short(value: Any) -> Any:
    """The value, a text cut to what a file name takes at most."""
    text = value if isinstance(value, str) or not isinstance(value, list | dict) else json.dumps(value, ensure_ascii=False)
    return text[:LONGEST_COLUMN] if isinstance(text, str) else text


def _arguments(row: Row, named: Collection[str] | None) -> dict[str, Any]:
    """The row as the argument `row` of operators and sensors takes it; its first four keys are in every row."""
    single = len(row.images) == 1
    columns = _columns(row, named)
    return {
        "row_id": row.id,
        "effect_scene": row.effect_scene,
        "image": row.images[0] if single else None,
        "images": None if single else list(row.images),
        **({"columns": columns} if columns else {}),
    }


def _check_length(manifest: str, rows: int) -> None:
    from airflow.providers.common.compat.sdk import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    if rows > most:
        problem = (
            f"{rows:,} rows are more than Airflow maps here ([core] max_map_length = {most:,}). "
            "Use KlingEffectBatchOperator, which takes a manifest of any size in one Airflow task, or split the manifest."
        )
        raise KlingManifestError(show_place(manifest), [problem])
