"""When to talk to Kling: who may create next, and who is done; nothing of Airflow.

May import `errors`, `api` and `client`.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
