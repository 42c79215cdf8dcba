"""What a run will make and cost, known before anything is spent; and whether the account's packs will do.

May import everything below operators. `scenes`, `tally` and `describe` are pure; `checking` opens images, `earlier` and `account`
read results and ask Kling, which costs nothing.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
