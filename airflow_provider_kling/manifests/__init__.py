"""Rows in: the formats and columns of a manifest, its rows, and its images.

May import `errors`, `redaction`, `storage` and `api`. Only `loading`, `sources` and `image_files` open files and read settings.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
