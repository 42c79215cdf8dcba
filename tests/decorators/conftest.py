from __future__ import annotations

import pytest
from task_runs import FakeAirflow


@pytest.fixture
def airflow():
    """Airflow as one task instance sees it."""
    return FakeAirflow()
