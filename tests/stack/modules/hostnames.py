"""Two triggerers on one machine tell Airflow different host names, so that a test sees who has which trigger."""

import os


def own() -> str:
    return os.environ["KLING_STACK_NAME"]
