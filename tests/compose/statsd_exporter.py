"""statsd-exporter as far as docker/metrics/statsd-mapping.yaml uses it: samples of statsd as the text that Prometheus reads.

Debian has no package of it. The rules are those of its README: the first mapping that matches gives the name, dots become
underscores, tags become labels, and a timer's milliseconds become seconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from statsd_listener import PREFIX, Sample

KINDS = {"c": "counter", "g": "gauge", "ms": "observer"}


def metric_of(sample: Sample, mappings: Iterable[Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    """The name that a sample has in Prometheus, and its mapping."""
    full = PREFIX + sample.name
    for mapping in mappings:
        pattern = re.escape(mapping["match"]).replace(r"\*", "([^.]*)")
        found = re.fullmatch(pattern, full)
        if found and mapping.get("match_metric_type", KINDS[sample.kind]) == KINDS[sample.kind]:
            return mapping["name"].replace("${1}", found[1] if found.groups() else ""), mapping
    return re.sub(r"[^a-zA-Z0-9_]", "_", full), {}


def exposed(samples: Iterable[Sample], mappings: list[Mapping[str, Any]]) -> str:
    """The page of metrics after these samples."""
    values: dict[str, float] = defaultdict(float)
    for sample in samples:
        name, mapping = metric_of(sample, mappings)
        labels = ",".join(f'{key}="{value}"' for key, value in sample.tags)
        if sample.kind == "c":
            values[f"{name}{{{labels}}}"] += sample.value
        elif sample.kind == "g":
            values[f"{name}{{{labels}}}"] = sample.value
        else:
            assert mapping["observer_type"] == "histogram"
            seconds = sample.value / 1000
            for bound in [*mapping["histogram_options"]["buckets"], "+Inf"]:
                values[f'{name}_bucket{{{labels},le="{bound}"}}'] += seconds <= float(bound)
            values[f"{name}_sum{{{labels}}}"] += seconds
            values[f"{name}_count{{{labels}}}"] += 1
    return "".join(f"{series} {value}\n" for series, value in values.items())
