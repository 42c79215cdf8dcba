"""Where the lines of a flow go: a function of the caller, which may know about levels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.client.flows import Log


class LevelLog:
    """Writes lines to a logger, at INFO unless told otherwise. Pass it as `log` where warnings are to be warnings."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __call__(self, message: str, level: int = logging.INFO) -> object:
        return self._logger.log(level, "%s", message)


def write_line(log: Callable[[str], object], line: Log) -> object:
    """Write the line of a flow, at its level where `log` knows about levels."""
    return log(line.message, line.level) if isinstance(log, LevelLog) else log(line.message)
