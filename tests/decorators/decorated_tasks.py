"""Tasks of decorated functions, and Airflow as one of them sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import DAG, task
from task_runs import URL

REQUEST = {"effect_scene": "pet_lion_pro", "image": URL}


class Video:
    """A function that returns what it is told to, and counts its calls."""

    def __init__(self, *returned: Any) -> None:
        self.returned = returned
        self.calls = 0

    def operator(self, **options: Any) -> Any:
        """The task `video` of a DAG `d`, as `@task.kling_effect` makes it."""
        return decorated(self._function(), **options)

    def _function(self) -> Callable[[], Any]:
        def video() -> Any:
            self.calls += 1
            return self.returned[min(self.calls, len(self.returned)) - 1]

        return video


def decorated(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The operator of a decorated function that is called with these arguments in a DAG `d`."""
    with DAG("d", schedule=None):
        return task.kling_effect(**{"poll_interval": 0.05, **options})(function)(*args).operator
