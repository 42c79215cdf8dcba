"""What Kling has charged, compared with what results say: each charge with its DAG, run and row, and what does not fit.

Pure, but for `finding` (results), `accounts` (Kling) and `writing` (files). May import `errors`, `redaction`, `storage`, `api`,
`results` and `hooks`.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
