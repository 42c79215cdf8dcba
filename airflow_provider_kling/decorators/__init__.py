"""`@task.kling_effect`: a function that returns a request, or a list of them, as an Airflow task that makes the videos.

May import everything below it. Each import at the top of these modules slows down every DAG file that uses the decorator.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
