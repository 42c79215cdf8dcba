"""The commands of `python -m airflow_provider_kling`, one module each, without Airflow where a command does not need it.

A command has NAME, SUMMARY, `add_arguments(parser)` and `run(arguments)`, which returns the exit code; `command_line` lists
them. What a command needs, it imports when it runs. May import every room below operators.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
