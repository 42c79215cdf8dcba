"""The engine of a whole manifest in one Airflow task.

May import `hooks` and everything below it.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
