"""The values of XComs from what the database holds. A backend that keeps values elsewhere, as in an object store, is read through.

Values of Airflow's own backend are taken as the plain JSON that they are: nothing in the API server makes objects of classes that
an XCom names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

THREADS = 16  # values that are read from a store at once

log = logging.getLogger(__name__)


def decode(raw: Iterable[Any]) -> list[Any]:
    """The values, in their order; None for one that cannot be read."""
    backend = _custom_backend()
    if backend is None:
        return [plain(value) for value in raw]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="kling-xcom") as threads:
        return list(threads.map(lambda value: _through(backend, value), raw))


def plain(value: Any) -> Any:
    """A value as JSON has it: a task writes objects, `dag.test()` and older versions write texts that hold JSON."""
    if isinstance(value, str) and value[:1] in ('"', "{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _custom_backend() -> Any:
    """The class that keeps XComs, where it is not Airflow's own."""
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    return None if XCom is BaseXCom else XCom


def _through(backend: Any, value: Any) -> Any:
    """What the backend makes of a value; only texts can name something that is kept elsewhere."""
    if not isinstance(value, str):
        return value
    try:
        return backend.deserialize_value(SimpleNamespace(value=value))
    except Exception as error:  # noqa: BLE001 - each store has errors of its own; the rows are shown without this value
        log.warning("An XCom could not be read: %s", type(error).__name__)
        return plain(value)
