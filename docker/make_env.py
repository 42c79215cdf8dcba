"""Writes .env for docker-compose.yaml, with random passwords and the connection to the emulator.

Run `make env` or `python3 docker/make_env.py [folder]`. An existing .env is left as it is.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path

TEXT = """\
# `make env` wrote this file for docker-compose.yaml. It contains passwords: keep it secret.

# Log in at http://localhost:8080 as admin with this password.
AIRFLOW_ADMIN_PASSWORD={admin}

# The connection to the Kling account. This value connects to the emulator. To use a real account, put your keys here
# instead, on one line:
#   AIRFLOW_CONN_KLING_DEFAULT='{{"conn_type": "kling", "password": "<API key>"}}'
#   AIRFLOW_CONN_KLING_DEFAULT='{{"conn_type": "kling", "login": "<access key>", "password": "<secret key>"}}'
# Then run `docker compose up --detach`.
AIRFLOW_CONN_KLING_DEFAULT='{connection}'

# The folder that Airflow sees as /opt/airflow/manifests.
MANIFESTS=./demo

# The emulator: how many tasks it runs at once, how many seconds a task takes, and how much that varies (0.3 is ± 30 %).
# At Kling, a task takes minutes.
KLING_EMULATOR_SLOTS=5
KLING_EMULATOR_DURATION=20
KLING_EMULATOR_JITTER=0.3
KLING_EMULATOR_API_KEY={emulator}

# Ports on this machine. Only this machine can reach them.
AIRFLOW_PORT=8080
KLING_EMULATOR_PORT=8900
GRAFANA_PORT=3000

# How many tasks a worker runs at once. Tasks that wait for a video in a triggerer do not count.
WORKER_CONCURRENCY=8

# Whether Airflow sends metrics. To look at them: METRICS=true, and docker compose --profile metrics up --detach
METRICS=false

# You never need to type these. If you lose FERNET_KEY, the data that Airflow stored encrypted is lost.
POSTGRES_PASSWORD={postgres}
REDIS_PASSWORD={redis}
FERNET_KEY={fernet}
API_SECRET_KEY={api}
JWT_SECRET={jwt}
"""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    path = folder / ".env"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(f"{path} already exists and is left as it is. To get new passwords, move it away first.")
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text())
    print(f"Wrote {path}. Next: docker compose up")


def text() -> str:
    """The file's text, with new secrets."""
    emulator = secrets.token_hex(16)
    return TEXT.format(
        admin=secrets.token_hex(8),
        connection=json.dumps(
            {
                "conn_type": "kling",
                "host": "http://kling-emulator:8900",
                "password": emulator,
                "extra": {"allow_private_links": True, "proxies": False},
            }
        ),
        emulator=emulator,
        postgres=secrets.token_hex(16),
        redis=secrets.token_hex(16),
        fernet=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        api=secrets.token_hex(32),
        jwt=secrets.token_hex(32),
    )


if __name__ == "__main__":
    main()
