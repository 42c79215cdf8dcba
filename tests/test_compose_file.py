"""docker-compose.yaml, the Dockerfile and the script that writes `.env`, as far as they can be judged without running."""

from __future__ import annotations

import base64
import json
import re
import shutil
import stat
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml
from places import ROOT

import airflow_provider_kling
from airflow_provider_kling.emulator.model import Settings
from airflow_provider_kling.emulator.options import ENV_PREFIX

sys.path.append(str(Path(__file__).parent / "compose"))
from composefile import load
from interpolation import ComposeError, interpolate, names, read_env

COMPOSE = ROOT / "docker-compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
LOCK = (ROOT / "requirements.lock").read_text()


def write_env(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docker" / "make_env.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """A `.env` as the script writes it."""
    assert write_env(tmp_path).returncode == 0
    return tmp_path / ".env"


@pytest.fixture
def mended(tmp_path: Path, env: Path):
    """Loads the compose file after some text in it was exchanged."""

    def load_with(old: str, new: str):
        text = COMPOSE.read_text()
        assert old in text
        for name in ("dags", "demo"):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / COMPOSE.name).write_text(text.replace(old, new))
        return load(tmp_path / COMPOSE.name, env)

    return load_with


# --- docker-compose.yaml


def test_it_follows_the_compose_specification():
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(yaml.safe_load(COMPOSE.read_text()))


def test_all_it_mounts_is_there(env: Path):
    file = load(COMPOSE, env)
    folders = {mount.source for service in file.services.values() for mount in service.mounts if not mount.named}
    assert folders == {str(ROOT / "dags"), str(ROOT / "demo"), str(ROOT / "docker" / "config")}
    everything = load(COMPOSE, env, profiles=["metrics"])
    mounts = [mount for service in everything.services.values() for mount in service.mounts]
    assert {mount.source for mount in mounts if mount.named} == file.volumes
    assert {mount.source for mount in mounts if not mount.named} - folders == {
        str(ROOT / "docker" / name)
        for name in (
            "metrics/statsd-mapping.yaml",
            "metrics/prometheus.yaml",
            "metrics/alerts.yaml",
            "grafana/provisioning",
            "grafana/dashboards",
        )
    }


def test_ports_are_open_to_this_machine_alone(env: Path):
    ports = [port for service in load(COMPOSE, env, profiles=["metrics"]).services.values() for port in service.ports]
    assert {port.address for port in ports} == {"127.0.0.1"}
    assert {port.target for port in ports} == {8080, 8900, 3000}


def test_every_service_tells_its_health_and_comes_back(env: Path):
    for name, service in load(COMPOSE, env, profiles=["metrics"]).services.items():
        assert (service.healthcheck is None) == (name == "airflow-init")
        assert service.restart == ("no" if name == "airflow-init" else "unless-stopped")


def test_images_have_versions(env: Path):
    airflow = re.search(r"^apache-airflow==(\S+)", LOCK, re.MULTILINE)[1]
    images = {service.image for service in load(COMPOSE, env, profiles=["metrics"]).services.values()}
    own = f"airflow-provider-kling:{airflow_provider_kling.__version__}-airflow{airflow}"
    of_metrics = {"prom/statsd-exporter:v0.28.0", "prom/prometheus:v3.5.0", "grafana/grafana:12.1.1"}
    assert images == {"postgres:16", "redis:7.2-bookworm", own} | of_metrics
    assert re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE) == [f"apache/airflow:{airflow}"] * 2


def test_no_secret_has_a_default():
    raw = COMPOSE.read_text()
    for name in re.findall(r"\$\{(\w*(?:PASSWORD|KEY|SECRET|CONN)\w*)(?!\w)", raw):
        assert f"${{{name}:?run make env first}}" in raw
        assert not re.search(rf"\$\{{{name}(?!:\?)", raw)
    with pytest.raises(ComposeError, match="run make env first"):
        interpolate(yaml.safe_load(raw), {})


def test_airflow_and_the_emulator_know_every_variable(env: Path):
    from airflow.configuration import conf
    from airflow.providers.celery.get_provider_info import get_provider_info

    sections = {**conf.configuration_description}
    sections.update(get_provider_info()["config"])
    known = {f"AIRFLOW__{section}__{option}".upper() for section, body in sections.items() for option in body["options"]}
    for service in load(COMPOSE, env).services.values():
        assert {name for name in service.environment if name.startswith("AIRFLOW__")} <= known
        options = {name.removeprefix(ENV_PREFIX).lower() for name in service.environment if name.startswith(ENV_PREFIX)}
        assert options <= set(Settings.__dataclass_fields__)


def test_the_official_entrypoint_waits_for_no_database_that_is_not_named(env: Path):
    for service in load(COMPOSE, env).services.values():
        if service.built and service.environment.get("CONNECTION_CHECK_MAX_COUNT") != "0":
            assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in service.environment


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    depends_on:\n      postgres:\n", "    depends_on:\n      postgers:\n", "airflow-init depends on postgers"),
        ("condition: service_healthy", "condition: service_well", "no condition is called service_well"),
        ("${MANIFESTS:-./demo}", "${MANIFEST}", "MANIFEST is not set"),
        ("./dags:", "./dag:", "which does not exist"),
        ("results:/opt", "result:/opt", "mounts result, which stands in no `volumes`"),
        ("command: scheduler", "command: scheduler\n    command: triggerer", "command stands twice"),
        ("$${HOSTNAME}", "${HOSTNAME}", "HOSTNAME is not set"),
        ("interval: 10s", "interval: 10", "not a duration: 10"),
    ],
)
def test_a_mistake_in_it_is_found(mended, old, new, told):
    with pytest.raises(ComposeError, match=told):
        mended(old, new)


# --- .env


def test_the_script_writes_what_the_file_asks_for(env: Path):
    assert names(yaml.safe_load(COMPOSE.read_text())) == set(read_env(env))
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


def test_the_script_overwrites_nothing(env: Path):
    before = env.read_text()
    again = write_env(env.parent)
    assert again.returncode == 1
    assert "left as it is" in again.stderr
    assert env.read_text() == before


def test_secrets_differ_from_each_other_and_each_time(env: Path, tmp_path: Path):
    (tmp_path / "other").mkdir()
    write_env(tmp_path / "other")
    first, second = read_env(env), read_env(tmp_path / "other" / ".env")
    secret = [name for name in first if re.search("PASSWORD|KEY|SECRET|CONN", name)]
    assert len(secret) == 8
    assert len({first[name] for name in secret} | {second[name] for name in secret}) == 16
    assert all(len(first[name]) >= 16 for name in secret)
    assert len(base64.urlsafe_b64decode(first["FERNET_KEY"])) == 32


def test_the_connection_is_the_emulators(env: Path):
    kling = load(COMPOSE, env).services["kling-emulator"].environment
    connection = json.loads(read_env(env)["AIRFLOW_CONN_KLING_DEFAULT"])
    assert connection["password"] == kling["KLING_EMULATOR_API_KEY"]
    assert connection["host"] == f"http://kling-emulator:{kling['KLING_EMULATOR_PORT']}"


def test_git_and_images_never_get_it():
    assert "/.env" in (ROOT / ".gitignore").read_text().split()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert "!.env" not in (ROOT / ".dockerignore").read_text()


# --- Dockerfile


def copied() -> list[str]:
    """What the Dockerfile copies from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_all_that_is_copied_is_there_and_reaches_the_engine():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied()) == allowed
    assert all((ROOT / source).exists() for source in copied())


def test_the_copied_files_make_the_wheel(tmp_path: Path):
    """The build of the first stage, but for pip: the build tool of the lock is already installed."""
    source = tmp_path / "source"
    source.mkdir()
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    script = re.search(r"^RUN pip install .*?(python -m hatchling.*?[^\\])\n(?:\n|$)", DOCKERFILE.read_text(), re.M | re.S)[1]
    script = script.replace("\\\n", "").replace("/tmp/wheel", str(tmp_path / "wheel"))  # noqa: S108
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(["/bin/sh", "-ec", script], cwd=source, env={"PATH": path}, check=True, capture_output=True)
    assert len(list((tmp_path / "wheel").glob("*.whl"))) == 1
    pinned = (tmp_path / "wheel" / "constraints.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in pinned} == {"av", "pillow", "standardwebhooks"}
    assert not [line for line in pinned if line.endswith("\\")]


def test_the_build_tool_is_the_locks():
    pattern = re.search(r"sed -n '(s/.*?/p)' requirements\.lock\)", DOCKERFILE.read_text())[1]
    found = subprocess.run(["sed", "-n", pattern, str(ROOT / "requirements.lock")], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"hatchling==[\d.]+\n", found.stdout)


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is installed on Linux on x86-64 only")
    done = subprocess.run([hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
