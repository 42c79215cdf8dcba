"""Airflow imports this file when one of its processes starts. See docs/production/row-costs.md."""

from airflow_provider_kling import preload  # noqa: F401
