"""The pytest fixture `kling_emulator`: a Kling account for one test.

    def test_my_dag(kling_emulator):
        dag.test()
        assert len(kling_emulator.ledger) == 1

The connection `kling_default` points to it. Its tasks take 0.2 seconds. A marker changes its settings:
`@pytest.mark.kling_emulator(slots=2, duration=60, manual_clock=True)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_kling.emulator.handle import KlingEmulator

QUICK = 0.2  # seconds that a task takes


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kling_emulator(**settings): settings of the fixture kling_emulator")


@pytest.fixture
def kling_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[KlingEmulator]:
    """A new Kling emulator on a free port. The connection kling_default points to it."""
    # Imported here, not above: pytest imports this module in every project that has this package installed.
    from airflow_provider_kling.emulator.handle import KlingEmulator

    marker = request.node.get_closest_marker("kling_emulator")
    options = {"duration": QUICK, **(marker.kwargs if marker else {})}
    with KlingEmulator(**options) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", emulator.connection())
        yield emulator
