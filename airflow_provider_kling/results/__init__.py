"""Rows out: the result of a task, the lines of `results.jsonl`, their summary, the report, and writing them.

May import `errors`, `redaction`, `storage`, `api` and `manifests`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
