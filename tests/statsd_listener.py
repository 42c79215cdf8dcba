"""A statsd server on a free port: what Airflow really sends, in the dialect with tags (`name,tag=value:1|c`)."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

PREFIX = "airflow.kling."


@dataclass(frozen=True)
class Sample:
    """One sample of a metric: `name` without the prefix, its value, its kind and its tags."""

    name: str
    value: float
    kind: str
    tags: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, line: str) -> Sample:
        named, _, rest = line.partition(":")
        name, *tags = named.split(",")
        value, kind = rest.split("|")[:2]
        pairs = tuple(sorted((key, text) for key, _, text in (tag.partition("=") for tag in tags)))
        return cls(name.removeprefix(PREFIX), float(value), kind, pairs)


class Statsd:
    """Collects the packets of this package's metrics."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self.lines: list[str] = []

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def read(self) -> list[Sample]:
        """All that has come so far."""
        self._server.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._server.recv(65536).decode().splitlines()
                self.lines += [line for line in lines if line.startswith(PREFIX)]
        return [Sample.of(line) for line in self.lines]

    def counts(self) -> dict[str, float]:
        """The sums of the counters, by name; those with a kind or code as `name.kind`."""
        sums: Counter[str] = Counter()
        for sample in self.read():
            if sample.kind == "c":
                more = [value for key, value in sample.tags if key in ("kind", "code")]
                sums[".".join([sample.name, *more])] += sample.value
        return dict(sums)

    def values(self, name: str) -> list[float]:
        """The values of a gauge or a timer, in their order."""
        return [sample.value for sample in self.read() if sample.name == name]

    def tags(self, name: str) -> set[tuple[tuple[str, str], ...]]:
        return {sample.tags for sample in self.read() if sample.name == name}


def settings_of(port: int) -> dict[str, str]:
    """Airflow's settings for metrics with tags to this port."""
    options = {"statsd_on": "True", "statsd_host": "127.0.0.1", "statsd_port": str(port), "statsd_influxdb_enabled": "True"}
    return {f"AIRFLOW__METRICS__{name.upper()}": value for name, value in options.items()}


@contextlib.contextmanager
def listening() -> Iterator[Statsd]:
    """A server on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        server.bind(("127.0.0.1", 0))
        yield Statsd(server)


@contextlib.contextmanager
def airflow_metrics(settings: dict[str, str]) -> Iterator[None]:
    """Airflow's metrics in this process, set up anew with these settings, and set up as before at the end."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        _set_up()
        yield
    _set_up()


def _set_up() -> None:
    """Airflow's metrics as its worker sets them up when it starts."""
    try:
        from airflow.sdk.observability.metrics import stats_utils
        from airflow.sdk.observability.stats import Stats
    except ImportError:  # Airflow 3.1
        from airflow import stats

        metaclass = type(stats.Stats)
        if "factory" in vars(metaclass):
            del metaclass.factory
        stats.Stats.instance = None  # what the class has hides what its metaclass has
        type(stats.Stats).__init__(stats.Stats)
        return
    try:
        Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
    except TypeError:  # Airflow 3.2
        Stats.initialize(factory=stats_utils.get_stats_factory(Stats))
