"""Runs the programs of images from this machine: Debian's PostgreSQL and Redis, and Airflow from the virtual environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from composefile import ComposeError, Service
from postgres import program_folder

SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What the entrypoint of PostgreSQL's image does: it reads the variables, switches the user, and creates the database at the
# first start. As in the real image, the first start listens on a socket only, and the server then starts again.
POSTGRES = """
set -eu
[ -n "${POSTGRES_PASSWORD:-}" ] || { echo "Database is uninitialized and superuser password is not specified." >&2; exit 1; }
[ "$#" = 0 ] || { echo "the image's command must not be changed" >&2; exit 1; }
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

# The entrypoint of Airflow's image: it runs bash or python, and takes everything else as a command of Airflow.
AIRFLOW = """
case "${1:-}" in
  bash|python) exec "$@" ;;
  airflow) shift ;;
esac
exec airflow "$@"
"""


@dataclass(frozen=True)
class Image:
    """The replacement of an image: its entrypoint, environment and working directory."""

    entrypoint: list[str]
    environment: Mapping[str, str]
    workdir: str = "/"

    def command(self, service: Service) -> list[str]:
        return [*self.entrypoint, *service.command]


def image_of(service: Service) -> Image:
    """The replacement of the service's image."""
    name = service.image.partition(":")[0]
    if service.built:
        scripts = Path(sys.executable).parent
        environment = {"PATH": f"{scripts}:{SYSTEM}", "AIRFLOW_HOME": "/opt/airflow", "LANG": "C.UTF-8", "HOME": "/opt/airflow"}
        return Image(["/bin/bash", "-c", AIRFLOW, "entrypoint"], environment, workdir="/opt/airflow")
    if name == "postgres":
        return Image(["/bin/sh", "-c", POSTGRES, "entrypoint"], {"PATH": f"{program_folder()}:{SYSTEM}", "LANG": "C.UTF-8"})
    if name == "redis":
        # The image disables protected mode, because it listens in its own network only.
        return Image(["/bin/sh", "-c", 'exec "$@" --protected-mode no', "entrypoint"], {"PATH": SYSTEM, "LANG": "C.UTF-8"})
    raise ComposeError(f"{service.name}: these tests have no replacement for {service.image}")
