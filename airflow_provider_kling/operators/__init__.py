"""The operators that DAG files import.

May import everything below; never `sensors`. Each import at the top of these modules slows down every DAG file.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
