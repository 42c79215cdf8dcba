"""Containers without an engine: Linux namespaces, created with util-linux and iproute2. This needs root.

A container has its own hostname, address, hosts file, mounts and environment. Programs, users and all other files are those
of this machine: the content of images is not imitated.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
from composefile import Mount
from processes import MARK, Process, free_port, until

PUBLISH = Path(__file__).parent / "publish.py"
TOOLS = {name: shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") or name for name in ("ip", "nsenter", "unshare")}


class Namespace:
    """A network, mounts and a hostname separate from the machine's. It ends with `close`, or when this process dies."""

    def __init__(self, *, environment: Mapping[str, str], script: str = "") -> None:
        # The namespace lives as long as `cat`, which ends when its stdin is closed.
        set_up = f"set -eu\n{TOOLS['ip']} link set lo up\n{script}\necho ready\nexec cat"
        command = [TOOLS["unshare"], "--net", "--mount", "--uts", "--propagation", "private", "/bin/sh", "-c", set_up]
        self._holder = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout
        assert self._holder.stderr
        if self._holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"cannot create a namespace: {self._holder.stderr.read()}")
        self.pid = self._holder.pid
        self._net = os.readlink(f"/proc/{self.pid}/ns/net")

    def entering(self, command: Sequence[str], *, folder: str = "/") -> list[str]:
        """The command that runs this command inside the namespace."""
        enter = [TOOLS["nsenter"], f"--target={self.pid}", "--net", "--mount", "--uts"]
        return [*enter, "/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder, *command]

    def run(self, command: str) -> None:
        subprocess.run(self.entering(["/bin/sh", "-ec", command]), check=True, capture_output=True, text=True)

    def processes(self) -> list[psutil.Process]:
        """All processes in the namespace, also those whose parents have died."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                inside = process.pid != self.pid and os.readlink(f"/proc/{process.pid}/ns/net") == self._net
                if inside and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def close(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._holder.communicate()


class Network:
    """A network in which containers find each other by name, as in Compose's default network."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._folder = folder
        self._count = 0
        self._entries: dict[str, list[str]] = {}
        self.hosts = folder / "hosts"
        self._no_nameservers = folder / "resolv.conf"
        self._no_nameservers.write_text("")
        self._write_hosts()
        self._space = Namespace(
            environment=environment,
            script="ip link add kling type bridge\nip addr add 10.77.0.1/24 dev kling\nip link set kling up",
        )
        self._published: list[Process] = []

    def join(self, space: Namespace, names: Iterable[str]) -> str:
        """Connect a container, and return its address. The names resolve to that address."""
        self._count += 1
        address, link = f"10.77.0.{self._count + 1}", f"c{self._count}"
        self._space.run(f"ip link add {link} type veth peer name eth0 netns {space.pid} && ip link set {link} master kling up")
        space.run(f"ip addr add {address}/24 dev eth0 && ip link set eth0 up")
        self._entries[address] = list(names)
        self._write_hosts()
        return address

    def leave(self, address: str) -> None:
        self._entries.pop(address, None)
        self._write_hosts()

    def publish(self, address: str, target: int, *, on: str = "127.0.0.1", port: int = 0) -> int:
        """Make a port of a container reachable from this machine. Returns the port on this machine."""
        port = port or free_port()
        command = [sys.executable, str(PUBLISH), str(self._space.pid), f"{on}:{port}", f"{address}:{target}"]
        log = self._folder / f"publish-{port}.log"
        self._published.append(Process(f"publish-{port}", command, environment=self._environment, log=log).start())
        until(f"port {port} is open", lambda: "open" in log.read_text(), timeout=20, describe=log.read_text)
        return port

    def close(self) -> None:
        for publisher in self._published:
            publisher.kill()
        self._space.close()

    def mount_commands(self) -> str:
        """The shell commands after which a container resolves the names of this network and no others."""
        pairs = ((self.hosts, "/etc/hosts"), (self._no_nameservers, os.path.realpath("/etc/resolv.conf")))
        return "\n".join(f"mount --bind {shlex.quote(str(source))} {target}" for source, target in pairs)

    def _write_hosts(self) -> None:
        # One line for each name, so that a lookup returns the name that was asked for as the canonical one.
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address, names in self._entries.items() for name in names)]
        self.hosts.write_text("\n".join(lines) + "\n")  # not replaced: the file is mounted


class Container:
    """A replica of a service. It can be killed and started again, and keeps its hostname and address."""

    def __init__(
        self,
        name: str,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        mounts: Sequence[Mount],
        network: Network,
        folder: Path,
        workdir: str,
    ) -> None:
        self.name = name
        self.service = service
        self.hostname = secrets.token_hex(6)
        self.log = folder / f"{name}.log"
        self._environment = {**environment, "HOSTNAME": self.hostname}
        self._workdir = workdir
        self._network = network
        script = "\n".join(
            [
                f"hostname {self.hostname}",
                network.mount_commands(),
                *_mount_commands(mounts, workdir=workdir, layers=folder / "layers" / name),
            ]
        )
        self._space = Namespace(environment={"PATH": os.environ["PATH"], MARK: environment[MARK]}, script=script)
        self.address = network.join(self._space, [self.hostname, name, service])
        inside = self._space.entering(command, folder=workdir)
        self.process = Process(name, inside, environment=self._environment, log=self.log)
        self._cpu: dict[int, float] = {}

    def start(self) -> Container:
        self.process.start()
        return self

    @property
    def alive(self) -> bool:
        return self.process.alive

    def processes(self) -> list[psutil.Process]:
        """The container's processes: the service's own process and all that it started."""
        return self._space.processes()

    def execute(self, command: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `docker compose exec` does."""
        inside = self._space.entering(command, folder=self._workdir)
        return subprocess.run(inside, env=self._environment, capture_output=True, text=True, timeout=timeout, check=False)

    def kill(self) -> None:
        """Kill all processes, as `docker kill` does."""
        self.sample()
        while found := self.processes():
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(found, timeout=5)
        self.process.wait()

    def stop(self, *, grace: float) -> None:
        """Terminate the service as `docker stop` does, and kill what is left after `grace` seconds."""
        self.process.terminate(timeout=grace)
        self.kill()

    def remove(self) -> None:
        self.kill()
        self._network.leave(self.address)
        self._space.close()

    def tail(self, lines: int = 15) -> str:
        return self.process.tail(lines)

    def sample(self) -> tuple[float, int]:
        """The CPU seconds of all processes so far, and the bytes of memory that they use now.

        A process that starts and ends between two samples is not counted.
        """
        memory = 0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
                memory += _memory(process)
        return self.cpu, memory

    @property
    def cpu(self) -> float:
        """CPU seconds as of the last sample."""
        return sum(self._cpu.values())


def _memory(process: psutil.Process) -> int:
    """The bytes of a process with its share of shared memory (PSS), or its RSS if the PSS cannot be read."""
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)


def _mount_commands(mounts: Sequence[Mount], *, workdir: str, layers: Path) -> list[str]:
    """The shell commands that create the container's own folders and mount its volumes.

    A path that this machine does not have is created on an overlay over its nearest existing parent. Only the container sees
    the overlay.
    """
    targets = {workdir: layers / "workdir"}
    lines = []
    overlaid: set[Path] = set()
    for target in [workdir, *(mount.target for mount in mounts)]:
        if target != "/" and not (target != workdir and target.startswith(f"{workdir}/")):
            existing = next(folder for folder in [Path(target), *Path(target).parents] if folder.is_dir())
            if existing == Path("/"):
                raise RuntimeError(f"this machine has no parent folder of {target}")
            if not any(existing.is_relative_to(other) for other in overlaid):
                overlaid.add(existing)
                upper, work = (layers / f"{part}{len(overlaid)}" for part in ("upper", "work"))
                for folder in (upper, work):
                    folder.mkdir(parents=True, mode=0o755, exist_ok=True)
                options = f"lowerdir={existing},upperdir={upper},workdir={work}"
                lines.append(f"mount -t overlay overlay -o {shlex.quote(options)} {existing}")
    if workdir != "/":
        targets[workdir].mkdir(parents=True, exist_ok=True)
        lines += [f"mkdir -p {workdir}", f"mount --bind {shlex.quote(str(targets[workdir]))} {workdir}"]
    for mount in sorted(mounts, key=lambda mount: mount.target):
        lines += [f"mkdir -p {mount.target}", f"mount --bind {shlex.quote(mount.source)} {mount.target}"]
        if mount.read_only:
            lines.append(f"mount -o remount,bind,ro {mount.target}")
    return lines
