"""Rows out: the result of a task, the lines of `results.jsonl`, their summary, the report, and writing them.

May import `errors`, `redaction`, `storage`, `api` and `manifests`.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
