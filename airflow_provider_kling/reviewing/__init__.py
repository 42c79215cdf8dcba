"""Review of videos by a person: what is asked, what was decided, and what became of each row. For use within tasks.

The question is one of Airflow's HITLOperator for all videos of some results, with the options Approve and Reject and the params
of `question`. `dags/kling_effects_reviewed.py` is a whole DAG. May import `results`, `manifests`, `publishing` and Airflow.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
