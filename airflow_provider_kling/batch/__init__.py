"""The engine of a whole manifest in one Airflow task.

May import `hooks` and everything below it.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
