"""How often a run asks Airflow's database: not once for each of its rows."""

from __future__ import annotations

import contextlib

import airflow.settings
from plugin_server import Instance, write_run
from sqlalchemy import event

from airflow_provider_kling.plugin import overview, views


@contextlib.contextmanager
def counted():
    """Counts the statements that are sent to the database."""
    sent = []

    def send(connection, cursor, statement, *rest):
        sent.append(statement)

    event.listen(airflow.settings.engine, "before_cursor_execute", send)
    try:
        yield sent
    finally:
        event.remove(airflow.settings.engine, "before_cursor_execute", send)


def instances(rows):
    listed = [{"row_id": f"r{n}", "effect_scene": "squish", "image": "/a.jpg", "images": None} for n in range(rows)]
    yield Instance(task_id="read", xcoms={"return_value": listed})
    for index in range(rows):
        yield Instance(task_id="video.create", map_index=index, state="deferred", rendered={"row_id": f"r{index}"})
        yield Instance(task_id="video.wait", map_index=index, state=None)


def test_the_number_of_queries_does_not_depend_on_the_rows(stored_dags):
    numbers = []
    for rows in (2, 200):
        write_run("kling_mapped", f"queries-{rows}", instances(rows), state="running")
        views.build("kling_mapped", f"queries-{rows}")  # which remembers what the DAG is
        with counted() as sent:
            view = views.build("kling_mapped", f"queries-{rows}")
        assert view.counts["waiting"] == rows
        numbers.append(len(sent))
    assert numbers[0] == numbers[1] < 10


def test_dags_with_kling_are_searched_once(stored_dags):
    from airflow.utils.session import create_session

    with create_session() as session:
        found = overview.kling_dags(session)
        assert {"kling_mapped", "kling_whole", "kling_pair", "kling_batch_dag"} <= found
        assert "no_kling" not in found
        with counted() as sent:
            assert overview.kling_dags(session) == found
        assert len(sent) == 1
        assert not any("task_instance" in statement for statement in sent)
