"""When to talk to Kling: who may create next, and who is done; nothing of Airflow.

May import `errors`, `api` and `client`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
