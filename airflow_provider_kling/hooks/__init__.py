"""KlingHook, the Kling account of an Airflow connection, and the choice among several accounts.

May import `errors`, `arguments`, `redaction`, `storage`, `api`, `manifests`, `client` and `dispatch`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
