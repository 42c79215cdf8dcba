"""What a video of each scene costs, learned from results and kept in one small JSON.

May import `errors`, `redaction`, `object_paths`, `storage` and `api`. `book` is pure; `files` alone opens the file.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
