"""For tests of your own DAGs, together with the pytest fixture `kling_emulator`.

from airflow_provider_kling.testing import run_dag

def test_my_dag(kling_emulator):
    run_dag(my_dag, {"manifest": "m.csv"})
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

_BUNDLE = "kling-tests"  # under this name Airflow's database holds a DAG that lies in no folder of DAGs


def run_dag(dag: DAG, conf: Mapping[str, Any] | None = None) -> DagRun:
    """Run the DAG in this process, as `dag.test()` does, and return its run.

    It also works in a fresh Airflow home: it creates the tables of an SQLite database, and the DAG need not lie in the
    folder of DAGs. Raises AssertionError with the tasks that failed, and RuntimeError if the database is another one whose
    tables are missing.
    """
    _create_tables()
    if not _in_a_bundle(Path(dag.fileloc)):
        _store(dag)
    run: DagRun = dag.test(run_conf=dict(conf or {}))
    failed = [
        task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
        for task in run.get_task_instances()
        if task.state in ("failed", "upstream_failed")
    ]
    if run.state != "success":
        raise AssertionError(f"DAG {dag.dag_id!r} ended as {run.state}: {', '.join(failed)}. The log above says why.")
    return run


def _create_tables() -> None:
    import airflow.settings
    from airflow.utils.db import initdb
    from sqlalchemy import inspect

    engine: Any = airflow.settings.engine
    if engine is None:
        airflow.settings.configure_orm()
        engine = airflow.settings.engine
    if inspect(engine).has_table("dag_run"):
        return
    if engine.dialect.name != "sqlite":
        raise RuntimeError("Airflow's database has no tables; run `airflow db migrate` before the tests.")
    initdb()


def _in_a_bundle(file: Path) -> bool:
    """Whether `dag.test()` finds the DAG's file itself."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    folders = [Path(bundle.path).resolve() for bundle in DagBundlesManager().get_all_dag_bundles()]
    return any(file.resolve().is_relative_to(folder) for folder in folders)


def _store(dag: DAG) -> None:
    """Write the DAG into Airflow's database, as its DAG processor does."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    serialized = LazyDeserializedDAG(data=_serialize(dag))
    with create_session() as session:
        session.merge(DagBundleModel(name=_BUNDLE))
        session.flush()
        _scheduler_class().bulk_write_to_db(_BUNDLE, None, [serialized], session=session)
        SerializedDagModel.write_dag(serialized, _BUNDLE, session=session)


def _serialize(dag: DAG) -> dict[str, Any]:
    from airflow.serialization import serialized_objects

    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"  # before Airflow 3.2
    return dict(getattr(serialized_objects, name).to_dict(dag))


def _scheduler_class() -> Any:
    from airflow.serialization import serialized_objects

    try:
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:  # before Airflow 3.2
        return vars(serialized_objects)["SerializedDAG"]
    return SerializedDAG
