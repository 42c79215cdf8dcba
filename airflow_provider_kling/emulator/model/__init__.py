"""The state of a Kling account: tasks, slots, units, plans, faults, the journal, and answers as values.

Everything here is pure: callers pass the time and any random key in. Nothing here reads a clock, opens a file or a socket, or
decodes a picture. May import `errors` and `api`.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
