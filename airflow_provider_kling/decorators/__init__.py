"""`@task.kling_effect`: a function that returns a request, or a list of them, as an Airflow task that makes the videos.

May import everything below it. Each import at the top of these modules slows down every DAG file that uses the decorator.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
