"""Whatever dies, and whenever: each submission is paid once, and comes to a video.

A fault hits every submission of a run at the same point, which the emulator's journal, Airflow's database or the files show:
nothing here sleeps and hopes. The verdict is the ledger's and the results file's.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import psutil
from airflow_api import Run
from PIL import Image
from processes import Process, until
from stack import TASKS_AT_ONCE, Stack
from submissions import Account
from together import at_once

from airflow_provider_kling.api import scenes

# One scene for each row tells rows apart in the journal; none is a part of another, as faults are told by a part.
SINGLE = [scene.name for scene in scenes().values() if scene.images == 1]
SCENES = [name for name in SINGLE if not any(name != other and name in other for other in SINGLE)]
LONG = 3600.0  # seconds of a Kling task that is to run until the test ends it
HELD = 20.0  # seconds that a request is held for a test to do its worst meanwhile
VIDEOS = "video"  # the task of the DAGs here
PATIENCE = 600.0  # seconds: on a busy machine, 100 tasks of Airflow take minutes


# --- A worker dies. Of each second row, its supervisor does so as well.


@at_once(duration=1, extra={"max_concurrency": 500})
def test_a_worker_that_dies_before_the_create_has_made_nothing(account, wished):
    # With a limit of its own, the hook counts the account's tasks before each create; there it is held.
    account.kling.fault("slow", on="list", seconds=HELD / 2, times=None)
    run = account.submission("on_worker", wished, effect_scene=SCENES[:wished])
    kill_each_worker(run, account, lambda: connected(run, account) - rows_of(account.kling.requests("create")))
    account.kling.clear_faults()
    end(run)
    account.judge("worker killed before the create")


@at_once(duration=1)
def test_a_worker_that_dies_before_the_answer_to_a_create_that_makes_its_task_later(account, wished):
    run = hold_creates(account, "on_worker", wished, after=False)
    kill_each_worker(run, account, lambda: rows_of(underway(account, "create")))
    end(run)
    settle(account)
    account.judge("worker killed before the answer, task made later")


@at_once(duration=1)
def test_a_worker_that_dies_before_the_answer_to_a_create_that_has_made_its_task(account, wished):
    run = hold_creates(account, "on_worker", wished, after=True)
    kill_each_worker(run, account, lambda: rows_of(underway(account, "create")))
    end(run)
    account.judge("worker killed before the answer, task made")


@at_once(duration=1)
def test_a_worker_that_dies_after_the_answer_and_before_it_can_tell_airflow(account, wished):
    # Where only workers can read the images, they create and then defer. A stopped supervisor takes no XCom: so the
    # worker hangs in between, for less than Airflow's patience for heartbeats.
    run = hold_creates(account, "in_triggerer", wished, after=True, seconds=5, image=str(local_image(account)))
    stopped: set[int] = set()

    def answered() -> set[int]:
        for row in rows_of(underway(account, "create")) - stopped:
            if process := workers(run).get(row):
                supervisor_of(process).suspend()
                stopped.add(row)
        return stopped & rows_of(entry for entry in account.kling.requests("create") if entry["status"] == 200)

    kill_each_worker(run, account, answered)
    end(run)
    account.judge("worker killed after the answer")


@at_once(duration=1)
def test_a_worker_that_dies_while_it_saves_leaves_no_half_video(account, wished):
    with half_videos() as host:
        account.kling.configure(public_url=host.url)
        run = account.submission("on_worker", wished, effect_scene=SCENES[:wished])
        kill_each_worker(run, account, lambda: half_saved(account))
        end(run)
    account.judge("worker killed while it saves")
    videos = [Path(video["path"]) for line in account.results for video in line["videos"]]
    assert all(video.read_bytes() == host.body for video in videos)
    # What a dead process has left is hidden, has another name, and is no result.
    left = set((account.output / "videos").iterdir()) - set(videos)
    assert all(path.name.startswith(".") and path.suffix == ".part" for path in left)


# --- A triggerer dies


def test_a_triggerer_that_dies_is_replaced_whatever_its_triggers_were_at(whole, open_account, wished):
    first, second = whole.triggerers
    waiting = open_account("waiting", duration=LONG)
    queueing = open_account("queueing", duration=1)
    queueing.kling.occupy(1000)
    unmade, made = open_account("unmade", duration=1), open_account("made", duration=1)
    accounts = [waiting, queueing, unmade, made]
    with parked(whole, second):
        runs = [account.submission("in_triggerer", wished) for account in (waiting, queueing)]
        for run in runs:
            until_waits(run, wished, at=first)
        for account in (unmade, made):
            account.kling.fault("slow", on="create", seconds=LONG, times=None, after=account is made)
            runs.append(account.submission("in_triggerer", wished))
        for run in runs:
            until_waits(run, wished, at=first)
        for account in (unmade, made):
            until("creates are under way", lambda account=account: underway(account, "create"))
        assert not unmade.kling.ledger
        assert made.kling.ledger
    first.kill()
    for account in (unmade, made):
        account.kling.clear_faults()
    for run in runs:
        until_waits(run, wished, at=second)
    first.start()
    waiting.kling.finish()
    queueing.kling.occupy(0)
    for run in runs:
        assert run.until_done(timeout=PATIENCE) == "success"
    for account, fault in zip(
        accounts, ["tasks run", "there is no slot", "creates are under way", "creates have made their tasks"], strict=True
    ):
        account.judge(f"triggerer killed while {fault}")


def test_triggerers_that_are_ended_or_die_together(whole, open_account, wished):
    first, second = whole.triggerers
    account = open_account("together", duration=LONG, slots=wished // 2)
    with parked(whole, second):
        run = account.submission("in_triggerer", wished)
        until_waits(run, wished, at=first)
    first.terminate()
    until_waits(run, wished, at=second)
    first.start()
    until("both are there", lambda: whole.alive_triggerers() == 2)
    for triggerer in whole.triggerers:
        triggerer.kill()
    account.kling.finish()
    account.kling.configure(duration=1)
    for triggerer in whole.triggerers:
        triggerer.start()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.judge("triggerer ended by SIGTERM")
    account.judge("both triggerers killed")


def test_a_triggerer_that_wakes_up_after_another_has_taken_its_triggers(whole, open_account, wished):
    first, second = whole.triggerers
    account = open_account("paused", duration=LONG)
    account.kling.fault("slow", on="create", seconds=HELD, times=None)
    with parked(whole, second):
        run = account.submission("in_triggerer", wished)
        until_waits(run, wished, at=first)
        until("creates are under way", lambda: underway(account, "create"))
        first.signal(signal.SIGSTOP)
    account.kling.clear_faults()
    until_waits(run, wished, at=second)
    until("the other has made all tasks", lambda: len(account.kling.ledger) == wished)
    before = len(account.kling.journal)
    first.signal(signal.SIGCONT)
    settle(account)
    until("both go on", lambda: whole.alive_triggerers() == 2 and len(account.kling.journal) > before)
    account.kling.finish()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.judge("triggerer paused, its triggers run twice")


# --- A whole manifest in one task


@at_once(duration=5, slots=2)
def test_a_batch_whose_worker_dies_goes_on_where_it_was(account, wished):
    run = account.submission("batch_on_worker", wished)
    made = 0
    for _ in range(2):
        run.until("more tasks are made", lambda made=made: len(account.kling.ledger) > made, timeout=PATIENCE)
        worker = run.until("its worker runs", lambda: workers(run, tries=10).get(-1), timeout=PATIENCE)
        kill_worker(worker, all_of_it=True)
        made = len(account.kling.ledger)
    assert made < wished
    end(run)
    account.judge("worker of a batch killed twice")


def test_a_batch_whose_triggerer_dies_goes_on_where_it_was(whole, open_account, wished):
    first, second = whole.triggerers
    account = open_account("batch", duration=LONG, slots=wished // 2)
    with parked(whole, second):
        run = account.submission("batch_in_triggerer", wished, shared=True)
        until_waits(run, 1, at=first)
        until("the slots are full", lambda: len(account.kling.ledger) == wished // 2)
    first.kill()
    until_waits(run, 1, at=second)
    account.kling.configure(duration=1)
    account.kling.finish()
    until("all tasks are made", lambda: len(account.kling.ledger) == wished, timeout=PATIENCE)
    first.start()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.judge("triggerer of a batch killed")


# --- Airflow's other parts die


def test_a_scheduler_that_dies_leaves_its_workers_dead_or_alive(whole, open_account, wished):
    dead, alive = accounts = [open_account(name, duration=1) for name in ("dead", "alive")]
    runs = [hold_creates(account, "on_worker", wished, after=account is alive) for account in accounts]
    until_held(*accounts)
    family = psutil.Process(whole.scheduler.pid).children(recursive=True)
    survivors = [one for process in workers(runs[1]).values() for one in (process, supervisor_of(process))]
    whole.scheduler.kill_alone()
    kill_all(set(family) - set(survivors))
    whole.scheduler.start()
    for account in accounts:
        settle(account)
    # What is left of a scheduler keeps its connection to the database open, and with it the locks it had.
    kill_all(survivors)
    for run in runs:
        assert run.until_done(timeout=PATIENCE) == "success"
    dead.judge("scheduler killed with its workers")
    alive.judge("scheduler killed, its workers live on")


def test_a_scheduler_that_is_ended(whole, open_account, wished):
    account = open_account("ended", duration=1)
    run = hold_creates(account, "on_worker", wished, after=False)
    until_held(account)
    whole.scheduler.restart()
    assert run.until_done(timeout=PATIENCE) == "success"
    settle(account)
    account.judge("scheduler ended by SIGTERM")


def test_a_database_that_dies(whole, open_account, wished):
    creating, waiting = open_account("creating", duration=1), open_account("waiting", duration=LONG)
    runs = [waiting.submission("in_triggerer", wished)]
    runs[0].until_deferred(VIDEOS, wished)
    runs.append(hold_creates(creating, "on_worker", wished, after=True))
    until_held(creating)
    whole.postgres.process.kill()
    whole.heal()
    until("the workers have their answers", lambda: not underway(creating, "create"))
    whole.postgres.process.signal(signal.SIGQUIT)
    whole.postgres.process.wait()
    whole.heal()
    waiting.kling.finish()
    end_well(whole, runs)
    creating.judge("database killed while creates are under way")
    waiting.judge("database killed while tasks run")


def test_an_api_server_that_dies(whole, open_account, wished):
    creating, waiting = open_account("creating", duration=1), open_account("waiting", duration=LONG)
    runs = [waiting.submission("in_triggerer", wished)]
    runs[0].until_deferred(VIDEOS, wished)
    runs.append(hold_creates(creating, "on_worker", wished, after=True))
    until_held(creating)
    whole.api_server.kill()
    waiting.kling.finish()
    until("the workers have their answers", lambda: not underway(creating, "create"))
    whole.heal()
    end_well(whole, runs)
    creating.judge("API server killed while creates are under way")
    waiting.judge("API server killed while tasks run")


# --- Points in the life of a submission


def hold_creates(account: Account, dag_id: str, wished: int, *, after: bool, seconds: float = HELD, **row: Any) -> Run:
    """Start a run whose rows each have their first create held, before or after it makes its task."""
    for scene in SCENES[:wished]:
        account.kling.fault("slow", on="create", match=scene, seconds=seconds, after=after)
    return account.submission(dag_id, wished, effect_scene=SCENES[:wished], **row)


def local_image(account: Account) -> Path:
    """An image that a triggerer on another machine could not read."""
    path = account.output / "image.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 320), "teal").save(path)
    return path


def until_held(*accounts: Account) -> None:
    """Wait until at least every other of Airflow's workers waits for the answer to a create.

    The other workers are on their way to theirs, or wait for one: whatever dies now hits these rows too.
    """

    def held() -> bool:
        counts = [len(underway(account, "create")) for account in accounts]
        return all(counts) and sum(counts) >= TASKS_AT_ONCE // 2

    until("creates are held", held, timeout=PATIENCE)


def underway(account: Account, kind: str) -> list[dict[str, Any]]:
    """The requests of this kind that have no answer yet."""
    return [entry for entry in account.kling.requests(kind) if entry["status"] is None]


def settle(account: Account) -> None:
    """Wait until Kling has done what it was asked for by those that have died since."""
    until("no create is under way", lambda: not underway(account, "create"), timeout=PATIENCE)


def rows_of(things: Any) -> set[int]:
    """The rows that requests or tasks are about."""
    return {SCENES.index(thing["effect_scene"]) for thing in things if thing["effect_scene"]}


def connected(run: Run, account: Account) -> set[int]:
    """The rows whose workers have sent their first request."""
    port = account.kling.url.rpartition(":")[2]
    found = set()
    for row, process in workers(run).items():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(one.raddr and str(one.raddr.port) == port for one in process.net_connections("tcp")):
                found.add(row)
    return found


def half_saved(account: Account) -> set[int]:
    """The rows of whose video a part is on the disk."""
    parts = [path.name for path in (account.output / "videos").glob(".*.part") if path.stat().st_size]
    return rows_of(task for task in account.kling.ledger if any(task["kling_task_id"] in name for name in parts))


# --- Deaths


def workers(run: Run, *, tries: int = 1) -> dict[int, psutil.Process]:
    """The processes that run a run's rows now, up to this try."""
    query = """
        select map_index, pid from task_instance
        where dag_id = %s and run_id = %s and task_id = %s and state = 'running' and try_number <= %s and pid is not null
    """
    found = {}
    for row, pid in run.stack.sql(query, run.dag_id, run.run_id, VIDEOS, tries):
        with contextlib.suppress(psutil.NoSuchProcess):
            found[row] = psutil.Process(pid)
    return found


def tries_of(run: Run) -> dict[int, int]:
    query = "select map_index, try_number from task_instance where dag_id = %s and run_id = %s and task_id = %s"
    return dict(run.stack.sql(query, run.dag_id, run.run_id, VIDEOS))


def supervisor_of(process: psutil.Process) -> psutil.Process:
    """The LocalExecutor's process that has started a task."""
    supervisor = process.parent()
    assert supervisor is not None
    assert "LocalExecutor" in " ".join(supervisor.cmdline()), supervisor.cmdline()
    return supervisor


def kill_each_worker(run: Run, account: Account, there: Callable[[], Collection[int]]) -> None:
    """Kill the first worker of each row as soon as it is there."""
    alive, killed = set(range(len(account.rows))), 0

    def all_killed() -> bool:
        nonlocal killed
        for row in alive & set(there()):
            if process := workers(run).get(row):
                kill_worker(process, all_of_it=bool(row % 2))
                alive.discard(row)
                killed += 1
        # A busy machine can make Airflow itself take a worker for dead, and end it.
        alive.difference_update(row for row, tries in tries_of(run).items() if tries > 1)
        return not alive

    run.until("each worker is killed at its point", all_killed, timeout=PATIENCE)
    assert killed > len(account.rows) * 3 // 4


def kill_worker(process: psutil.Process, *, all_of_it: bool) -> None:
    """Kill a task's process, as the kernel does when memory ends; or with its supervisor, as when the machine dies."""
    supervisor = supervisor_of(process)
    if all_of_it:
        supervisor.kill()
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.resume()


def kill_all(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def end(run: Run) -> None:
    """See the run end well, each of its rows after another try."""
    assert run.until_done(timeout=PATIENCE) == "success"
    assert min(tries_of(run).values()) > 1, tries_of(run)


def end_well(stack: Stack, runs: Collection[Run]) -> None:
    """See runs end, while an orchestrator starts whatever has not survived."""

    def done() -> bool:
        stack.heal()
        return all(run.state in ("success", "failed") for run in runs)

    until("the runs end", done, timeout=PATIENCE, told=stack.tails)
    assert [run.state for run in runs] == ["success"] * len(runs), [run.told() for run in runs]


@contextlib.contextmanager
def parked(stack: Stack, triggerer: Process) -> Iterator[None]:
    """Without one triggerer: all triggers go to the other; afterwards it is there again, without one."""
    triggerer.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        triggerer.signal(signal.SIGCONT)
    until("both triggerers live, as far as they can", lambda: stack.triggers_of(triggerer) == [])


def until_waits(run: Run, wished: int, *, at: Process) -> None:
    """Wait until this triggerer has the triggers of all rows, as far as Airflow knows."""
    query = "select trigger_id from task_instance where dag_id = %s and run_id = %s and task_id = %s and state = 'deferred'"

    def all_there() -> bool:
        triggers = {one for (one,) in run.stack.sql(query, run.dag_id, run.run_id, VIDEOS)}
        return len(triggers & set(run.stack.triggers_of(at))) == wished

    run.until(f"{at.name} has all triggers", all_there, timeout=PATIENCE)


# --- A video host that stops in the middle


class half_videos:  # noqa: N801 - used like a function
    """Serves a video under each path; the first time only the first half, and then nothing more."""

    def __init__(self) -> None:
        clip = (resources.files("airflow_provider_kling.emulator") / "clip.mp4").read_bytes()
        free = 2**20  # bytes; clients write in blocks, and half of it has to be some of them
        self.body = clip + free.to_bytes(4, "big") + b"free" + bytes(free - 8)
        self._seen: set[str] = set()
        self._over = threading.Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                again = self.path in host._seen
                host._seen.add(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "video/mp4")
                self.send_header("Content-Length", str(len(host.body)))
                self.end_headers()
                self.wfile.write(host.body if again else host.body[: len(host.body) // 2])
                if not again:
                    host._over.wait()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> half_videos:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
