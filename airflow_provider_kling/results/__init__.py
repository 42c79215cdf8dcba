"""Rows out: the lines of `results.jsonl`, their summary, the report, and writing them.

May import `errors`, `storage`, `api` and `manifests`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
