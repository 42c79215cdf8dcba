"""KlingChargesOperator: what Kling has charged, compared with results, as tables and a page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_kling.arguments import check_rendered_value, check_text, conn_ids, is_known
from airflow_provider_kling.errors import KlingError, KlingInputError
from airflow_provider_kling.links import KlingChargesLink
from airflow_provider_kling.operator_base import KlingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.arguments import Later, Place

SAVE_TO = "a folder or URI"
NAME = "KlingChargesOperator"


class KlingChargesOperator(KlingOperator):
    """Reads what Kling has charged for the tasks of some days, and writes it as a table with the DAG, run and row of each charge.

    It writes `charges.csv`, `charges.jsonl`, `sums.csv` and the page `charges.html` into `save_to`, each whole or not at all; a
    repetition replaces them. Returns a small summary (see the docs): the number of charges, their units and money, the number of
    lines in each state, and the places of the files. Charges that do not fit the results are warnings in the log, no failure.

    :param start: the first day, like "2026-11-22", or a time. Charges are those for tasks created from then on. Templated.
    :param end: the last day, or the time before which the tasks were created. Default: the day of the start. Templated.
    :param save_to: folder or URI for the files. Templated.
    :param results: where results are: path or URI of a `results.jsonl` or of a folder with results in it or below it, the summary
        that a batch or `write_results` returned, or a result; one or a list. Default: charges are listed and summed, not
        compared. Templated.
    :param kling_conn_id: the connection of the account, or a list of them (as text: with commas). Templated.
    :param timezone: the time zone of days, and of times without one. Default: UTC. Templated.
    :param lateness: seconds, or a timedelta, after a task's end during which its charge may still be missing: such a task is
        "too early to say". Default: 12 hours.
    """

    template_fields: Sequence[str] = ("start", "end", "save_to", "results", "kling_conn_id", "timezone")
    place_fields = ("save_to", "results")
    ui_color = "#d9f2e6"
    ui_fgcolor = "#0b3d2e"
    operator_extra_links = (KlingChargesLink(),)

    def __init__(
        self,
        *,
        start: str | date | Later,
        end: str | date | Later | None = None,
        save_to: Place | Later,
        results: Place | Mapping[str, Any] | Sequence[Any] | Later | None = None,
        kling_conn_id: str | Sequence[str] | Later = "kling_default",
        timezone: str | Later = "UTC",
        lateness: float | timedelta = timedelta(hours=12),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.start: Any = start
        self.end: Any = end
        self.save_to: Any = save_to
        self.results: Any = results
        self.kling_conn_id: Any = kling_conn_id
        self.timezone: Any = timezone
        self.lateness = lateness
        self.take_places()
        self._unknown = self.unknown_fields()
        if not self.is_unmapped:
            self._check(rendered=frozenset())

    def execute(self, context: Context) -> dict[str, Any]:
        with _failing():
            return self._execute()

    def _execute(self) -> dict[str, Any]:
        from airflow_provider_kling.reconciling import check_sources, reconcile, span_of, write_charges
        from airflow_provider_kling.writable import check_writable

        self.take_places()
        self.show_links(False)
        self._check(rendered=self._unknown)
        accounts = conn_ids(self.kling_conn_id)
        span, sources = span_of(self.start, self.end, self.timezone), check_sources(self.results)
        check_writable(self.save_to, "save_to")
        self.log.info("Charges for tasks created %s.", span.text)
        if not sources:
            self.log.warning("No results are given, so charges are listed and summed, but not compared.")
        reconciled = reconcile(span, conn_ids=accounts, sources=sources, lateness=_lateness(self.lateness), log=self.log.info)
        with reconciled as (ledger, lines):
            summary = write_charges(ledger, lines, self.save_to, conn_ids=accounts)
        self.show_links(True)
        return summary

    def _check(self, *, rendered: frozenset[str]) -> None:
        """Check the arguments that are known. `rendered`: those that were not known when the DAG was parsed."""
        from airflow_provider_kling.reconciling import check_sources, span_of

        _lateness(self.lateness)
        if is_known(self.save_to):
            check_text("save_to", self.save_to, wanted=SAVE_TO, operator=NAME, rendered="save_to" in rendered)
        for name in rendered:
            check_rendered_value(name, getattr(self, name))
        if all(map(is_known, (self.start, self.end, self.timezone))):
            span_of(self.start, self.end, self.timezone)
        if self.results is not None and is_known(self.results):
            check_sources(self.results)


def _lateness(lateness: Any) -> timedelta:
    """Raises KlingInputError for anything but a time from 0 on."""
    if isinstance(lateness, int | float) and not isinstance(lateness, bool) and 0 <= lateness < 1e9:
        return timedelta(seconds=lateness)
    if isinstance(lateness, timedelta) and lateness >= timedelta(0):
        return lateness
    raise KlingInputError(f"lateness is {lateness!r}; wanted is a number of seconds, or a timedelta, from 0 on.")


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Raise an error that no retry mends as AirflowFailException."""
    try:
        yield
    except KlingError as error:
        if error.may_pass:
            raise
        raise AirflowFailException(str(error)) from error
