"""The check of a batch's whole manifest, before anything is spent."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.caps import Allowance, RunCap
from airflow_provider_kling.operators.capping import book_for

if TYPE_CHECKING:
    from airflow_provider_kling.batch import BatchJob
    from airflow_provider_kling.manifests import ManifestFile

MAX_LOGGED = 50  # bad rows that the log names


def check_manifest(job: BatchJob, manifest: ManifestFile, *, cap: RunCap, log: Any) -> tuple[int, Allowance | None]:
    """Read the whole manifest, and log what is wrong with it.

    Returns the number of rows in the job's shard, and which rows of all shards the cap pays for (None for all).

    Raises KlingManifestError or KlingInputError if `file_name` names two rows alike, in whichever shards, or a column that is not
    there.
    """
    from airflow_provider_kling.batch import is_in_shard, shard_of
    from airflow_provider_kling.manifests import BadRow
    from airflow_provider_kling.naming import NameCheck

    _check_own_leftovers(job)
    name, count, bad, shard = manifest.name, 0, 0, shard_of(job.shard)
    names = NameCheck(job.save_as())
    costs: list[tuple[int, Decimal | None]] = []
    book = book_for(cap, None if job.shard else job.results)  # shards must agree on the prices
    for row in manifest.rows(lambda text: log.warning("%s: %s", name, text)):
        if not isinstance(row, BadRow):
            names.see(place=row.place, line=row.line, row_id=row.id, effect_scene=row.effect_scene, columns=row.columns)
            if cap:
                costs.append((row.number, book.price(row.effect_scene).at_most if book else None))
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
    return count, _allowance(cap, costs, log)


def _allowance(cap: RunCap, costs: list[tuple[int, Decimal | None]], log: Any) -> Allowance | None:
    if not cap:
        return None
    allowance = cap.allowance(costs)
    if allowance.text:
        within = sum(place <= allowance.last for place, _ in costs)
        log.warning("Capped: %s. %s of %s good rows are within.", allowance.text, f"{within:,}", f"{len(costs):,}")
    return allowance


def warn_if_short(job: BatchJob, manifest: ManifestFile, *, log: Any) -> None:
    """Log a warning if the account's resource packs will run out before the manifest does, as far as prices are known."""
    from airflow_provider_kling.batch import in_shard
    from airflow_provider_kling.manifests import Row
    from airflow_provider_kling.planning import warn_if_short

    last = job.allowance.last if job.allowance else None

    def scenes() -> Counter[str]:
        rows = in_shard(manifest.rows(), job.shard)
        return Counter(row.effect_scene for row in rows if isinstance(row, Row) and (last is None or row.number <= last))

    warn_if_short(scenes, conn_ids=conn_ids(job.kling_conn_id), results=job.results, log=log)


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
