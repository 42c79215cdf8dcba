"""`python -m airflow_provider_kling`."""

import sys

from airflow_provider_kling.commands import main

if __name__ == "__main__":
    sys.exit(main())
