"""The triggers, which wait in the triggerer.

May import everything below the operators, including `outcomes` and `links`; never operators or sensors.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
