"""What is heard of tasks that have ended: the asset of a connection, and the events on it.

The receiver in the API server (`plugin.callbacks`) and `triggers.KlingFinishedTasksTrigger` make these events; DAGs read them.
Pure. May import `errors`, `redaction` and `api`.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
