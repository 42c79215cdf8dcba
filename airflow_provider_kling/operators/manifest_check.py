"""The check of a batch's whole manifest, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.batch import BatchJob
    from airflow_provider_kling.manifests import ManifestFile

MAX_LOGGED = 50  # bad rows that the log names


def check_manifest(job: BatchJob, manifest: ManifestFile, *, log: Any) -> int:
    """Read the whole manifest, and log what is wrong with it. Returns the number of rows in the job's shard.

    Raises KlingManifestError or KlingInputError if `file_name` names two rows alike, in whichever shards, or a column that is not
    there.
    """
    from airflow_provider_kling.batch import is_in_shard, shard_of
    from airflow_provider_kling.manifests import BadRow
    from airflow_provider_kling.naming import NameCheck

    _check_own_leftovers(job)
    name, count, bad, shard = manifest.name, 0, 0, shard_of(job.shard)
    names = NameCheck(job.save_as())
    for row in manifest.rows(lambda text: log.warning("%s: %s", name, text)):
        if not isinstance(row, BadRow):
            names.see(place=row.place, line=row.line, row_id=row.id, effect_scene=row.effect_scene, columns=row.columns)
        if not is_in_shard(row, shard):
            continue
        count += 1
        if isinstance(row, BadRow):
            bad += 1
            if bad <= MAX_LOGGED:
                log.warning("%s: %s", name, row.text)
    log.info("%s: %s rows, %s of them bad.", name, f"{count:,}", f"{bad:,}")
    if job.save_to:
        names.check(name)
        for field in names.shadowed:
            log.warning("file_name: {%s} is not the column of that name, but the %s of the run or task.", field, field)
    return count


def _check_own_leftovers(job: BatchJob) -> None:
    """Raise KlingInputError for the `unfinished.jsonl` of the folder for results: this run would replace it, and the results."""
    from airflow_provider_kling.errors import KlingInputError
    from airflow_provider_kling.object_paths import location_of, storage_path
    from airflow_provider_kling.results import UNFINISHED

    if location_of(storage_path(job.manifest)) == location_of(storage_path(job.results) / UNFINISHED):
        raise KlingInputError(
            f"manifest is the {UNFINISHED} of the folder results, whose files this run would replace; wanted is another folder "
            "for results."
        )
