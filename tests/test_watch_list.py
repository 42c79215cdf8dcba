"""The ten things to watch: the rules of Prometheus, the page that explains them, and the metrics that exist."""

from __future__ import annotations

import json
import re

import yaml
from places import ROOT

from airflow_provider_kling.api import ERROR_KINDS
from airflow_provider_kling.metrics import METRICS

RULES = yaml.safe_load((ROOT / "docker/metrics/alerts.yaml").read_text())["groups"][0]["rules"]
PAGE = (ROOT / "docs/production/metrics.md").read_text()
EXPOSED = re.compile(r"kling_(\w+?)(?:_total|_bucket)?\b")


def metrics_of(expression: str) -> set[str]:
    return {f"kling.{name}" for name in EXPOSED.findall(expression)}


def test_there_are_ten_and_the_page_explains_each():
    assert len(RULES) == 10
    sections = re.split(r"^## (?=\d)", PAGE, flags=re.MULTILINE)[1:]
    explained = {section.split(maxsplit=1)[1].partition("\n")[0].strip("` "): section for section in sections}
    assert list(explained) == [rule["alert"] for rule in RULES]
    for rule in RULES:
        section = " ".join(explained[rule["alert"]].split())
        assert " ".join(rule["expr"].split()) in section, rule["alert"]
        for text in (rule["annotations"]["meaning"], rule["annotations"]["action"]):
            assert text in section, rule["alert"]


def test_every_metric_exists_and_is_described():
    known = {metric.name for metric in METRICS}
    described = described_metrics()
    for rule in RULES:
        used = metrics_of(rule["expr"])
        assert used
        assert used <= known & described, rule["alert"]
    assert set(re.findall(r"`(kling\.\w+)`", PAGE)) <= known


def described_metrics() -> set[str]:
    """The metrics in the table of the reference page, wherever the site has it."""
    pages = [page.read_text() for page in (ROOT / "docs").glob("**/metrics.md")]
    (table,) = [page for page in pages if "| Metric | Kind | Tags |" in page]
    return set(re.findall(r"^\| `(kling\.\w+)` \|", table, re.MULTILINE))


def test_every_kind_of_error_in_them_exists():
    for rule in RULES:
        for kinds in re.findall(r'error_kind=~?"([^"]+)"', rule["expr"]):
            assert set(kinds.split("|")) <= set(ERROR_KINDS)


def test_labels_in_their_texts_are_labels_of_their_result():
    for rule in RULES:
        for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
            assert re.search(rf"by \({label}\)", rule["expr"]), rule["alert"]
