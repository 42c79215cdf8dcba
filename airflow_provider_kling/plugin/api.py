"""The data of the pages as JSON, and the files that results name. Each route needs the right to read the DAG's XComs.

Functions that block are no coroutines: they run in the server's threads, not on its event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from airflow_provider_kling.plugin import answers, files, overview, report_page, stores, views
from airflow_provider_kling.plugin.kling_links import NoLinkError, link_of
from airflow_provider_kling.plugin.run_row import RunRow
from airflow_provider_kling.plugin.streaming import disposition, file_response
from airflow_provider_kling.plugin.views import RunView

NO_RUN = "There is no such run."
NO_ROW = "This run has no such row, or the row no such file."
READ = ["GET", "HEAD"]

router = APIRouter(prefix="/api")
of_dag = APIRouter(prefix="/dags/{dag_id}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])


@router.get("/runs")
def runs(user: GetUserDep, limit: int = 50, dag_id: str | None = None) -> Any:
    return overview.runs_answer(user, limit=max(1, min(limit, overview.MOST_RUNS)), dag_id=dag_id or None)


@of_dag.get("/rows")
def rows(dag_id: str, run_id: str, task_id: str | None = None, map_index: str | None = None) -> Any:
    return answers.rows_answer(_view(dag_id, run_id), task_id=task_id or None, map_index=_index(map_index))


@of_dag.api_route("/video", methods=READ)
def video(request: Request, dag_id: str, run_id: str, key: str, index: int = 0) -> Response:
    def path(row: RunRow) -> Any:
        return row.videos[index].get("path") if 0 <= index < len(row.videos) else None

    _, row = _row(dag_id, run_id, key, lambda row: isinstance(path(row), str))
    return _file(request, path(row), files.open_video)


@of_dag.api_route("/image", methods=READ)
def image(request: Request, dag_id: str, run_id: str, key: str, index: int = 0) -> Response:
    view, row = _row(dag_id, run_id, key, lambda row: 0 <= index < len(row.images))
    source = row.images[index]
    address = answers.image_url(view, row, index)
    return _file(request, None if address in (None, source) else source, files.open_image)


@of_dag.get("/link")
def link(dag_id: str, run_id: str, key: str, index: int = 0) -> Response:
    _, row = _row(dag_id, run_id, key, lambda row: 0 <= index < len(row.videos))
    try:
        return RedirectResponse(link_of(row, index), status_code=302, headers={"Cache-Control": "no-store"})
    except NoLinkError as error:
        raise HTTPException(502, str(error)) from None


@of_dag.get("/report")
def report(dag_id: str, run_id: str, task_id: str | None = None, map_index: str | None = None) -> Response:
    view = _view(dag_id, run_id)
    chosen = answers.rows_of(view, task_id or None, _index(map_index))
    headers = {"Content-Security-Policy": report_page.policy(), "Cache-Control": "no-store"}
    return StreamingResponse(report_page.report(view, chosen), media_type="text/html", headers=headers)


@of_dag.get("/results")
def results(dag_id: str, run_id: str) -> Response:
    view = _view(dag_id, run_id)
    if not view.results:
        raise HTTPException(404, "This run has not written results yet.")
    headers = {"Content-Disposition": disposition("attachment", f"{dag_id}-{run_id}-results.jsonl"), "Cache-Control": "no-store"}
    return StreamingResponse(_lines(view.results), media_type="application/jsonl", headers=headers)


@of_dag.get("/charges")
def charges(dag_id: str, run_id: str, task_id: str, map_index: str | None = None) -> Response:
    from airflow_provider_kling.plugin import charges_page

    summary = charges_page.summary_of(dag_id, run_id, task_id, _index(map_index))
    if summary is None:
        raise HTTPException(404, "This task has not written charges.")
    headers = {"Content-Security-Policy": charges_page.policy(), "Cache-Control": "no-store"}
    try:
        return StreamingResponse(charges_page.page(summary), media_type="text/html", headers=headers)
    except stores.UnreadableError as error:
        raise HTTPException(502, str(error)) from None


def _lines(places: list[str]) -> Iterator[bytes]:
    """The lines of these files that are lines of results; the first is read before the answer begins, so that it can say no."""
    from airflow_provider_kling.plugin.results_file import raw_lines

    try:
        return raw_lines(places)
    except stores.UnreadableError as error:
        raise HTTPException(502, str(error)) from None


def _view(dag_id: str, run_id: str) -> RunView:
    view = views.view_of(dag_id, run_id)
    if view is None:
        raise HTTPException(404, NO_RUN)
    return view


def _row(dag_id: str, run_id: str, key: str, has: Callable[[RunRow], bool]) -> tuple[RunView, RunRow]:
    found = views.row_of(dag_id, run_id, key, has)
    if found is None:
        raise HTTPException(404, NO_ROW)
    return found


def _file(request: Request, place: Any, open_file: Callable[[str], files.OpenFile]) -> Response:
    if not isinstance(place, str) or not place:
        raise HTTPException(404, "This row has no such file.")
    try:
        opened = open_file(place)
    except files.NoSuchFileError as error:
        raise HTTPException(404, str(error)) from None
    except stores.UnreadableError as error:
        raise HTTPException(502, str(error)) from None
    return file_response(request, opened)


def _index(text: str | None) -> int | None:
    """A map index; None for none, as -1 and what Airflow 3.1 leaves of its placeholder are."""
    try:
        number = int(text or "-1")
    except ValueError:
        return None
    return number if number >= 0 else None


router.include_router(of_dag)
