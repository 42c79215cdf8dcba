"""KlingHook: a Kling account as an Airflow connection names it.

May import all of `errors`, `storage`, `api`, `client` and `dispatch`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
