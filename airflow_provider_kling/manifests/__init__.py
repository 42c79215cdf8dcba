"""Rows in: the formats and columns of a manifest, its rows, and its images.

May import `errors`, `redaction`, `storage` and `api`. Only `loading` opens files and imports Airflow.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
