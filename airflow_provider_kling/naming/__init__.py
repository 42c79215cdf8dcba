"""How saved videos are named: the template `file_name`, its fields, characters that every store takes, and names that are unique.

Pure. May import `errors` alone.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
