"""The path under which rows in Airflow's database name `triggers.KlingBatchTrigger`; it stays importable for ever."""

from airflow_provider_kling.triggers import KlingBatchTrigger

__all__ = ["KlingBatchTrigger"]
