from __future__ import annotations

import pytest
from task_runs import FakeAirflow


@pytest.fixture
def airflow():
    return FakeAirflow()


@pytest.fixture
def kling(kling, polled_early):
    """An account for many videos: the emulator does not render each one anew, and their tasks are polled early."""
    kling.configure(videos="clip")
    return kling
