"""A plan from start to end: reads the manifest twice, asks the accounts, checks each row, and counts."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_kling.api import scenes
from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.batch import in_shard, shard_of
from airflow_provider_kling.caps import Allowance, RunCap
from airflow_provider_kling.instances import instance_key
from airflow_provider_kling.manifests import BadRow, ManifestFile, Row
from airflow_provider_kling.object_paths import location_of, storage_path
from airflow_provider_kling.planning.account import AccountFacts, ask
from airflow_provider_kling.planning.checking import Check, Checked, CheckUrl, checked_rows
from airflow_provider_kling.planning.describe import describe_plan
from airflow_provider_kling.planning.earlier import EarlierAttempts
from airflow_provider_kling.planning.scenes import doubt_about
from airflow_provider_kling.planning.tally import CAPPED, MAKE, RowPlan, Tally
from airflow_provider_kling.prices import PriceBook, price_book_location, read_prices
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.results import units_text
from airflow_provider_kling.storage import write_text

if TYPE_CHECKING:
    from airflow_provider_kling.arguments import Place

PAUSE = 10.0  # seconds between two lines about the progress
MOST_WARNINGS = 50

Log = Callable[[str], object]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PlanJob:
    """The run that is planned: the arguments of `plan_manifest`, checked, with `identity` for DAG, run and task."""

    manifest: str
    results: str | None = None
    kling_conn_id: str | None = None
    identity: tuple[str, str, str] | None = None
    iteration: int | None = None
    tries: int = 1
    format: str | None = None
    strict: bool = False
    shard: str | None = None
    fresh: str | None = None
    max_concurrency: int | None = None
    slots: int | None = None
    cap: RunCap = field(default_factory=RunCap)
    check_images: bool = True
    check_urls: bool = False
    rows: str | None = None


def plan_manifest(
    manifest: Place,
    *,
    results: Place | None = None,
    kling_conn_id: str | Sequence[str] | None = "kling_default",
    for_task: str | None = None,
    format: str | None = None,
    strict: bool = False,
    shard: str | tuple[int, int] | None = None,
    fresh: str | None = None,
    max_concurrency: int | None = None,
    max_videos: int | str | None = None,
    max_units: float | str | None = None,
    check_images: bool = True,
    check_urls: bool = False,
    rows: Place | None = None,
) -> dict[str, Any]:
    """What a run of this manifest will make and cost, as plain JSON (see the docs). Nothing is spent, nothing is created.

    The arguments are those of `KlingEffectBatchOperator`, and: `kling_conn_id=None` asks no account. `for_task`, the id of the
    task in this DAG that will make the videos, lets the plan find what that task has made in this run already. `check_images`
    opens each image; `check_urls` asks for each URL's head. `rows` is a file (path or URI) that gets one JSON line for each row.
    For use within a task. Raises KlingInputError for arguments or a manifest that cannot work, KlingSettingsError and
    KlingAuthError for a connection that cannot.
    """
    from airflow_provider_kling.arguments import place_text

    identity, iteration = None, None
    if for_task is not None:
        from airflow.sdk import get_current_context

        key = instance_key(get_current_context())
        identity, iteration = (key.dag_id, key.run_id, for_task), key.iteration
    part = shard_of(shard)
    job = PlanJob(
        manifest=place_text(manifest),
        results=None if results is None else place_text(results),
        kling_conn_id=None if kling_conn_id is None else ",".join(conn_ids(kling_conn_id)),
        identity=identity,
        iteration=iteration,
        format=format,
        strict=strict,
        shard="{}/{}".format(*part) if part else None,
        fresh=fresh,
        max_concurrency=max_concurrency,
        cap=RunCap.of(max_videos, max_units),
        check_images=check_images,
        check_urls=check_urls,
        rows=None if rows is None else place_text(rows),
    )
    plan = make_plan(job, log=logger.info)
    for line in describe_plan(plan):
        logger.info("%s", line)
    return plan


def make_plan(job: PlanJob, *, log: Log) -> dict[str, Any]:
    """The plan of a run, as `plan_manifest` returns it. `log` gets a line every ten seconds while images are read."""
    earlier = EarlierAttempts(*job.identity, tries=job.tries, iteration=job.iteration) if job.identity else None
    with ManifestFile(job.manifest, format=job.format, strict=job.strict) as manifest:
        location = price_book_location(job.results)
        book = read_prices(location) if location else PriceBook()
        survey = _survey(job, manifest, book)
        facts = ask(conn_ids(job.kling_conn_id), earlier) if job.kling_conn_id else AccountFacts()
        if earlier and job.results:
            earlier.read(job.results)
        planner = _Planner(job, book, facts, earlier, survey.allowance)
        rows = planner.rows(_reporting(in_shard(manifest.rows(), job.shard), survey.count, log))
        if job.rows:
            path = storage_path(job.rows)
            write_text(path, (f"{json.dumps(row.to_json(), ensure_ascii=False)}\n" for row in rows))
        else:
            for _ in rows:
                pass
        return _plan(job, manifest, survey, facts, planner.tally)


@dataclass
class _Survey:
    """What the first reading of the manifest tells: its rows in the shard, and which rows of all shards the cap pays for."""

    count: int
    good: int
    warnings: list[str]
    allowance: Allowance | None


def _survey(job: PlanJob, manifest: ManifestFile, book: PriceBook) -> _Survey:
    part, count, good = shard_of(job.shard), 0, 0
    if part and job.cap.max_units is not None:  # shards count with the one book that all of them know
        location = price_book_location()
        book = read_prices(location) if location else PriceBook()
    costs: list[tuple[int, Decimal | None]] = []
    warnings: list[str] = []
    for row in manifest.rows(warnings.append):
        count += part is None or row.number % part[1] == part[0]
        if isinstance(row, Row):
            good += 1
            if job.cap:
                costs.append((row.number, book.price(row.effect_scene).at_most))
    return _Survey(count, good, warnings[:MOST_WARNINGS], job.cap.allowance(costs) if job.cap else None)


class _Planner:
    """Decides on one row after the other, and counts them in `tally`."""

    def __init__(
        self,
        job: PlanJob,
        book: PriceBook,
        facts: AccountFacts,
        earlier: EarlierAttempts | None,
        allowance: Allowance | None,
    ) -> None:
        self._check = Check(job.check_images, _url_check(job, facts), job.identity, fresh=job.fresh, iteration=job.iteration)
        self._earlier, self._allowance = earlier, allowance
        self._doubt = functools.lru_cache(1024)(
            lambda scene, images: doubt_about(scene, images, frozenset(facts.regions), scenes())
        )
        self._price = functools.lru_cache(1024)(book.price)
        self.tally = Tally()

    def rows(self, rows: Iterator[Row | BadRow]) -> Iterator[RowPlan]:
        for checked in checked_rows(rows, self._check):
            plan = self._decide(checked)
            self.tally.add(plan)
            yield plan

    def _decide(self, checked: Checked) -> RowPlan:
        row = checked.row
        place = {"number": row.number, "line": row.line, "id": row.id}
        if not isinstance(row, Row):
            scene = row.columns.get("effect_scene")
            scene = scene if isinstance(scene, str) else None
            return RowPlan(**place, effect_scene=scene, state=checked.state or "", reason=checked.reason, kind=checked.kind)  # type: ignore[arg-type]
        state, reason, kind = checked.state, checked.reason, checked.kind
        if state is None:
            state, reason, kind = self._made_or_capped(checked, row)
        return RowPlan(
            **place,  # type: ignore[arg-type]
            effect_scene=row.effect_scene,
            state=state,
            reason=reason,
            kind=kind,
            doubt=self._doubt(row.effect_scene, len(row.images)),
            price=self._price(row.effect_scene),
        )

    def _made_or_capped(self, checked: Checked, row: Row) -> tuple[str, str | None, Any]:
        if self._earlier and (found := self._earlier.state_of(checked.external_id)):
            return found[0], found[1], "unknown" if found[1] else None
        if self._allowance and (error := self._allowance.refusal(row.number)):
            return CAPPED, str(error), "capped"
        return MAKE, None, None


def _url_check(job: PlanJob, facts: AccountFacts) -> CheckUrl | None:
    if not job.check_urls:
        return None
    from airflow_provider_kling.client import link_problem

    return functools.partial(link_problem, allow_private=facts.allow_private_links)


def _reporting(rows: Iterator[Row | BadRow], count: int, log: Log) -> Iterator[Row | BadRow]:
    """The rows; from time to time, `log` gets how many have been read."""
    due = time.monotonic() + PAUSE
    for number, row in enumerate(rows):
        if time.monotonic() >= due:
            log(f"{number:,} of {count:,} rows checked.")
            due = time.monotonic() + PAUSE
        yield row


def _plan(job: PlanJob, manifest: ManifestFile, survey: _Survey, facts: AccountFacts, tally: Tally) -> dict[str, Any]:
    counted = tally.to_json()
    cost = tally.cost()
    balance = sum((one.units for one in facts.balances), Decimal(0)) if facts.balances else None
    enough = None
    if balance is not None and len(facts.balances) == facts.accounts:
        enough = True if cost.at_most is not None and balance >= cost.at_most else None
        enough = False if cost.low is not None and balance < cost.low else enough
    return {
        "manifest": manifest.name,
        "planned_at": pendulum.now("UTC").to_iso8601_string(),
        **counted,
        "time": _time(job, facts, tally.videos),
        "balance": None if balance is None else units_text(balance),
        "balance_enough": enough,
        "cap": {
            "max_videos": job.cap.max_videos,
            "max_units": None if job.cap.max_units is None else units_text(job.cap.max_units),
        },
        # A cap counts all rows that can be read, those included whose images cannot: see `caps`.
        "max_videos": survey.good if job.cap.max_videos is None else min(job.cap.max_videos, survey.good),
        "regions": sorted(facts.regions),
        "warnings": survey.warnings,
        "notes": _notes(job, facts),
        "rows_file": None if job.rows is None else show_place(location_of(storage_path(job.rows))),
    }


def _time(job: PlanJob, facts: AccountFacts, videos: int) -> dict[str, Any]:
    """How long the videos will take, and what that is based on; `seconds` is None where it is not known."""
    slots, source = (job.slots, "as given") if job.slots else (facts.slots, facts.slots_from)
    if job.max_concurrency and (slots is None or job.max_concurrency < slots):
        slots, source = job.max_concurrency, "max_concurrency of the batch"
    each = facts.seconds_per_video
    span = None if each is None or not slots else -(-videos // slots) * each
    return {
        "seconds": None if span is None else round(span),
        "slots": slots,
        "slots_from": source,
        "seconds_per_video": None if each is None else round(each, 1),
        "tasks_measured": len(facts.durations),
        "running_now": facts.running,
    }


def _notes(job: PlanJob, facts: AccountFacts) -> list[str]:
    """What the plan does not know, and why."""
    from airflow_provider_kling.planning.scenes import listed_regions

    notes = list(facts.notes)
    if unlisted := sorted(facts.regions - listed_regions(scenes())):
        notes.append(f"There is no list of scenes for {unlisted[0]} in this version: what is offered there is not known.")
    if not job.check_images:
        notes.append("Images were not opened.")
    elif not job.check_urls:
        notes.append("URLs were not asked for: only Kling knows what it finds there.")
    if job.identity is None:
        notes.append("Earlier attempts were not looked for: that needs the ids of DAG, run and task.")
    return notes
