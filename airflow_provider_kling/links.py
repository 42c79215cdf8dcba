"""The extra links from a task instance to its videos, report, results and charges, and the addresses that the plugin answers.

Addresses begin with the path of `[api] base_url`, so where Airflow lies below a path, workers need that setting, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, XComArg

URL_PREFIX = "/kling"  # of the plugin's own pages
RUNS_VIEW, VIDEOS_VIEW, TASK_VIEW = "kling", "kling-videos", "kling-task-videos"  # the parts of Airflow's own addresses


class KlingVideoLink(BaseOperatorLink):
    """Leads to the tab "Videos" of the task instance, as soon as it has a video."""

    name = "Video"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        ids = (ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)
        return task_url(*ids, f"/plugin/{TASK_VIEW}", region=_region_of(ti_key))


class KlingReportLink(BaseOperatorLink):
    """Leads to the report of the run, as soon as its results are written. For a mapped task: of this task instance's rows."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        mapped = ti_key.map_index is not None and ti_key.map_index >= 0
        own = {"task_id": ti_key.task_id, "map_index": ti_key.map_index} if mapped else {}
        return f"{base_path()}{URL_PREFIX}/{api_path(ti_key.dag_id, ti_key.run_id, 'report', **own)}"


class KlingResultsLink(BaseOperatorLink):
    """Loads the `results.jsonl` of the run, as soon as it is written."""

    name = "Results"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return f"{base_path()}{URL_PREFIX}/{api_path(ti_key.dag_id, ti_key.run_id, 'results')}"


class KlingChargesLink(BaseOperatorLink):
    """Leads to the page of the charges that this task instance has written."""

    name = "Charges"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        mapped = {"map_index": ti_key.map_index} if ti_key.map_index is not None and ti_key.map_index >= 0 else {}
        return f"{base_path()}{URL_PREFIX}/{api_path(ti_key.dag_id, ti_key.run_id, 'charges', task_id=ti_key.task_id, **mapped)}"


def with_report_links(collected: XComArg) -> XComArg:
    """What a `@task` returned in a DAG file, after its task got the links "Report" and "Results": for one that writes results.

    All `@task` functions share one operator, whose class says which links it has; so each task gets its own here.
    """
    for operator, _ in collected.iter_references():
        operator.operator_extra_links = (KlingReportLink(), KlingResultsLink())
    return collected


OWN_LINKS = (KlingVideoLink, KlingReportLink, KlingResultsLink, KlingChargesLink)


def base_path() -> str:
    """The path under which Airflow's UI lies, like `/airflow`; an empty text for the root of its host."""
    from airflow.providers.common.compat.sdk import conf

    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def api_path(dag_id: str, run_id: str, what: str, **parameters: Any) -> str:
    """The address of something of a run, relative to the plugin's prefix."""
    return f"api/dags/{quote(dag_id, safe='')}/{what}?{urlencode({'run_id': run_id, **parameters})}"


def run_url(dag_id: str, run_id: str) -> str:
    """The page of a run in Airflow's UI."""
    return f"{base_path()}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe=':+')}"


def task_url(
    dag_id: str, run_id: str, task_id: str, map_index: int | None, tab: str = "", *, region: tuple[str, int] | None = None
) -> str:
    """The page of a task instance in Airflow's UI, or a tab of it. `region` names the one of a loop's iteration (Airflow 3.4)."""
    mapped = f"/mapped/{map_index}" if map_index is not None and map_index >= 0 else ""
    found = f"?{urlencode({'region_id': region[0], 'region_index': region[1]})}" if region else ""
    return f"{run_url(dag_id, run_id)}/tasks/{quote(task_id, safe='')}{mapped}{tab}{found}"


def _region_of(ti_key: Any) -> tuple[str, int] | None:
    """The region of a task instance; None before Airflow 3.4, and for one in no region (whose id is then zero)."""
    region = getattr(ti_key, "region_id", None)
    return None if region is None or not region.int else (str(region), ti_key.region_index)
