"""KlingHook, the Kling account of an Airflow connection, and the choice among several accounts.

May import `errors`, `arguments`, `redaction`, `storage`, `api`, `manifests`, `client` and `dispatch`.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
