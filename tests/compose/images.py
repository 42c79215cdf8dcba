"""How the programs of an image run from this machine's own: Debian's PostgreSQL and Redis, and Airflow of the venv."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from composefile import ComposeError, Service
from postgres import programs

SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What the image of PostgreSQL does at its start: its variables, its user, a database made at the first start.
# The real one sets up on a socket only and then starts anew; so does this.
POSTGRES = """
set -eu
[ -n "${POSTGRES_PASSWORD:-}" ] || { echo "Database is uninitialized and superuser password is not specified." >&2; exit 1; }
[ "$#" = 0 ] || { echo "the image's command is to stay as it is" >&2; exit 1; }
export PGDATA=/var/lib/postgresql/data
USER=${POSTGRES_USER:-postgres}
as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
mkdir -p /var/run/postgresql
chown postgres "$PGDATA" /var/run/postgresql
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/pw.$HOSTNAME
  chown postgres /tmp/pw.$HOSTNAME
  as initdb --username="$USER" --pwfile=/tmp/pw.$HOSTNAME --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 --no-sync
  rm /tmp/pw.$HOSTNAME
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  as pg_ctl -w -o "-c listen_addresses=" start
  [ "${POSTGRES_DB:-$USER}" = postgres ] || as createdb --username="$USER" "${POSTGRES_DB:-$USER}"
  as pg_ctl -w -m fast stop
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -c "listen_addresses=*"
"""

# Airflow's image: a program by its name if it is bash or python, otherwise a command of Airflow.
AIRFLOW = """
case "${1:-}" in
  bash|python) exec "$@" ;;
  airflow) shift ;;
esac
exec airflow "$@"
"""


@dataclass(frozen=True)
class Image:
    """What stands for an image: the command's beginning, variables, and the folder it starts in."""

    entrypoint: list[str]
    environment: Mapping[str, str]
    workdir: str = "/"

    def command(self, service: Service) -> list[str]:
        return [*self.entrypoint, *service.command]


def image_of(service: Service) -> Image:
    """What runs in place of the service's image."""
    name = service.image.partition(":")[0]
    if service.built:
        programs_of = Path(sys.executable).parent
        environment = {"PATH": f"{programs_of}:{SYSTEM}", "AIRFLOW_HOME": "/opt/airflow", "LANG": "C.UTF-8", "HOME": "/opt/airflow"}
        return Image(["/bin/bash", "-c", AIRFLOW, "entrypoint"], environment, workdir="/opt/airflow")
    if name == "postgres":
        return Image(["/bin/sh", "-c", POSTGRES, "entrypoint"], {"PATH": f"{programs()}:{SYSTEM}", "LANG": "C.UTF-8"})
    if name == "redis":
        # The image switches protected mode off, because it listens within its own network only.
        return Image(["/bin/sh", "-c", 'exec "$@" --protected-mode no', "entrypoint"], {"PATH": SYSTEM, "LANG": "C.UTF-8"})
    raise ComposeError(f"{service.name}: this harness has nothing to run in place of {service.image}")
