"""What Airflow's UI shows: the page "Kling", the tab "Videos", and the sub-application behind them.

May import everything below. Airflow loads the plugin in each of its processes, so `registration` imports next to nothing; FastAPI
and the rest are imported where the API server serves the first request.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
