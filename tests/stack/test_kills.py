"""Processes die at any point: each request is still paid for once, and its row gets a video.

A fault hits every request of a run at the same point. The emulator's journal, Airflow's database or the files show when that
point is reached; no test relies on a fixed sleep. The ledger and the results file then show the outcome.
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
from account import Account
from airflow_api import Run
from parallel import in_parallel
from PIL import Image
from processes import Process, until
from stack import TASKS_AT_ONCE, Stack

from airflow_provider_kling.api import scenes

# Each row has its own scene, so that the journal shows which row a request is about. No name contains another one, because
# faults match a part of the request.
SINGLE = [scene.name for scene in scenes().values() if scene.images == 1]
SCENES = [name for name in SINGLE if not any(name != other and name in other for other in SINGLE)]
ENDLESS = 3600.0  # seconds; the Kling task runs until the test ends it
HOLD_SECONDS = 20.0  # how long the emulator holds a request while the test kills processes
TASK_ID = "video"  # in all DAGs used here
PATIENCE = 600.0  # seconds; on a busy machine, 100 task instances take minutes


# --- A worker dies. For every other row, its supervisor dies too.


@in_parallel(duration=1, extra={"max_concurrency": 500})
def test_a_worker_that_dies_before_the_create(account, rows):
    # With `max_concurrency`, the hook counts the account's tasks before each create. That request is held.
    account.kling.fault("slow", on="list", seconds=HOLD_SECONDS / 2, times=None)
    run = account.run_dag("on_worker", rows, effect_scene=SCENES[:rows])
    kill_each_worker(run, account, lambda: connected_rows(run, account) - rows_of(account.kling.requests("create")))
    account.kling.clear_faults()
    expect_success_after_retries(run)
    account.check("worker killed before the create")


@in_parallel(duration=1)
def test_a_worker_that_dies_before_the_response_when_the_task_is_created_later(account, rows):
    run = hold_creates(account, "on_worker", rows, after=False)
    kill_each_worker(run, account, lambda: rows_of(unanswered(account, "create")))
    expect_success_after_retries(run)
    until_answered(account)
    account.check("worker killed before the response, task created later")


@in_parallel(duration=1)
def test_a_worker_that_dies_before_the_response_when_the_task_already_exists(account, rows):
    run = hold_creates(account, "on_worker", rows, after=True)
    kill_each_worker(run, account, lambda: rows_of(unanswered(account, "create")))
    expect_success_after_retries(run)
    account.check("worker killed before the response, task already created")


@in_parallel(duration=1)
def test_a_worker_that_dies_after_the_response_and_before_it_reports_to_airflow(account, rows):
    # If only workers can read the images, the worker creates and then defers. While its supervisor is suspended, it cannot
    # store the XCom and hangs between the two, for less than Airflow's heartbeat timeout.
    run = hold_creates(account, "in_triggerer", rows, after=True, seconds=5, image=str(local_image(account)))
    suspended_rows: set[int] = set()

    def rows_with_response() -> set[int]:
        for row in rows_of(unanswered(account, "create")) - suspended_rows:
            if process := workers(run).get(row):
                supervisor_of(process).suspend()
                suspended_rows.add(row)
        return suspended_rows & rows_of(entry for entry in account.kling.requests("create") if entry["status"] == 200)

    kill_each_worker(run, account, rows_with_response)
    expect_success_after_retries(run)
    account.check("worker killed after the response")


@in_parallel(duration=1)
def test_a_worker_that_dies_while_it_saves_leaves_no_partial_video(account, rows):
    with TruncatingHost() as host:
        account.kling.configure(public_url=host.url)
        run = account.run_dag("on_worker", rows, effect_scene=SCENES[:rows])
        kill_each_worker(run, account, lambda: rows_with_partial_file(account))
        expect_success_after_retries(run)
    account.check("worker killed while it saves")
    videos = [Path(video["path"]) for line in account.results for video in line["videos"]]
    assert all(video.read_bytes() == host.body for video in videos)
    # A dead process leaves a hidden file under another name, and no result refers to it.
    leftovers = set((account.output / "videos").iterdir()) - set(videos)
    assert all(path.name.startswith(".") and path.suffix == ".part" for path in leftovers)


# --- A triggerer dies


def test_a_triggerer_that_dies_is_replaced_at_each_stage_of_its_triggers(breakable_stack, open_account, rows):
    first, second = breakable_stack.triggerers
    waiting = open_account("waiting", duration=ENDLESS)
    queueing = open_account("queueing", duration=1)
    queueing.kling.occupy(1000)
    # The triggerer dies before Kling creates the tasks of the one, and after it has created those of the other.
    uncreated, created = open_account("uncreated", duration=1), open_account("created", duration=1)
    accounts = [waiting, queueing, uncreated, created]
    with suspended(breakable_stack, second):
        runs = [account.run_dag("in_triggerer", rows) for account in (waiting, queueing)]
        for run in runs:
            until_assigned(run, rows, to=first)
        for account in (uncreated, created):
            account.kling.fault("slow", on="create", seconds=ENDLESS, times=None, after=account is created)
            runs.append(account.run_dag("in_triggerer", rows))
        for run in runs:
            until_assigned(run, rows, to=first)
        for account in (uncreated, created):
            until("creates are under way", lambda account=account: unanswered(account, "create"))
        assert not uncreated.kling.ledger
        assert created.kling.ledger
    first.kill()
    for account in (uncreated, created):
        account.kling.clear_faults()
    for run in runs:
        until_assigned(run, rows, to=second)
    first.start()
    until_all_exist(waiting)
    waiting.kling.finish()
    queueing.kling.occupy(0)
    for run in runs:
        assert run.until_done(timeout=PATIENCE) == "success"
    stages = ["tasks run", "there is no slot", "creates are under way", "created tasks are not reported yet"]
    for account, stage in zip(accounts, stages, strict=True):
        account.check(f"triggerer killed while {stage}")


def test_triggerers_that_are_terminated_or_die_together(breakable_stack, open_account, rows):
    first, second = breakable_stack.triggerers
    account = open_account("together", duration=ENDLESS, slots=rows // 2)
    with suspended(breakable_stack, second):
        run = account.run_dag("in_triggerer", rows)
        until_assigned(run, rows, to=first)
    first.terminate()
    until_assigned(run, rows, to=second)
    first.start()
    until("both triggerers run", lambda: breakable_stack.alive_triggerers() == 2)
    for triggerer in breakable_stack.triggerers:
        triggerer.kill()
    account.kling.finish()
    account.kling.configure(duration=1)
    for triggerer in breakable_stack.triggerers:
        triggerer.start()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.check("triggerer terminated by SIGTERM")
    account.check("both triggerers killed")


def test_a_triggerer_that_resumes_after_another_took_over_its_triggers(breakable_stack, open_account, rows):
    first, second = breakable_stack.triggerers
    account = open_account("paused", duration=ENDLESS)
    account.kling.fault("slow", on="create", seconds=HOLD_SECONDS, times=None)
    with suspended(breakable_stack, second):
        run = account.run_dag("in_triggerer", rows)
        until_assigned(run, rows, to=first)
        until("creates are under way", lambda: unanswered(account, "create"))
        first.signal(signal.SIGSTOP)
    account.kling.clear_faults()
    until_assigned(run, rows, to=second)
    until_all_exist(account)
    before = len(account.kling.journal)
    first.signal(signal.SIGCONT)
    until_answered(account)
    until("both triggerers run", lambda: breakable_stack.alive_triggerers() == 2 and len(account.kling.journal) > before)
    account.kling.finish()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.check("triggerer suspended, its triggers run twice")


# --- A whole manifest in one task


@in_parallel(duration=5, slots=2)
def test_a_batch_resumes_after_its_worker_dies(account, rows):
    run = account.run_dag("batch_on_worker", rows)
    created = 0
    for _ in range(2):
        run.until("more tasks exist", lambda created=created: len(account.kling.ledger) > created, timeout=PATIENCE)
        worker = run.until("its worker runs", lambda: workers(run, tries=10).get(-1), timeout=PATIENCE)
        kill_worker(worker, with_supervisor=True)
        created = len(account.kling.ledger)
    assert created < rows
    expect_success_after_retries(run)
    account.check("worker of a batch killed twice")


def test_a_batch_resumes_after_its_triggerer_dies(breakable_stack, open_account, rows):
    first, second = breakable_stack.triggerers
    account = open_account("batch", duration=ENDLESS, slots=rows // 2)
    with suspended(breakable_stack, second):
        run = account.run_dag("batch_in_triggerer", rows, shared=True)
        until_assigned(run, 1, to=first)
        until("the slots are full", lambda: len(account.kling.ledger) == rows // 2)
    first.kill()
    until_assigned(run, 1, to=second)
    account.kling.configure(duration=1)
    account.kling.finish()
    until_all_exist(account)
    first.start()
    assert run.until_done(timeout=PATIENCE) == "success"
    account.check("triggerer of a batch killed")


# --- Other components of Airflow die


def test_a_scheduler_that_dies_with_and_without_its_workers(breakable_stack, open_account, rows):
    # The tests above kill workers, and LocalExecutor gives the slots of some of them to nobody: this one needs all of them.
    breakable_stack.scheduler.restart()
    dead, alive = accounts = [open_account(name, duration=1) for name in ("dead", "alive")]
    runs = [hold_creates(account, "on_worker", rows, after=account is alive) for account in accounts]
    until_held(*accounts)
    family = psutil.Process(breakable_stack.scheduler.pid).children(recursive=True)
    survivors = [each for process in workers(runs[1]).values() for each in (process, supervisor_of(process))]
    breakable_stack.scheduler.kill_alone()
    kill_all(set(family) - set(survivors))
    breakable_stack.scheduler.start()
    for account in accounts:
        until_answered(account)
    # The surviving processes keep the scheduler's database connection open, and with it the locks it held.
    kill_all(survivors)
    for run in runs:
        assert run.until_done(timeout=PATIENCE) == "success"
    dead.check("scheduler killed with its workers")
    alive.check("scheduler killed, its workers survive")


def test_a_scheduler_that_is_terminated(breakable_stack, open_account, rows):
    account = open_account("terminated", duration=1)
    run = hold_creates(account, "on_worker", rows, after=False)
    until_held(account)
    breakable_stack.scheduler.restart()
    assert run.until_done(timeout=PATIENCE) == "success"
    until_answered(account)
    account.check("scheduler terminated by SIGTERM")


def test_a_database_that_dies(breakable_stack, open_account, rows):
    creating, waiting = open_account("creating", duration=1), open_account("waiting", duration=ENDLESS)
    runs = [waiting.run_dag("in_triggerer", rows)]
    runs[0].until_deferred(TASK_ID, rows)
    until_all_exist(waiting)
    runs.append(hold_creates(creating, "on_worker", rows, after=True))
    until_held(creating)
    breakable_stack.postgres.process.kill()
    breakable_stack.repair()
    until("the workers have their responses", lambda: not unanswered(creating, "create"))
    breakable_stack.postgres.process.signal(signal.SIGQUIT)
    breakable_stack.postgres.process.wait()
    breakable_stack.repair()
    waiting.kling.finish()
    expect_success_with_repairs(breakable_stack, runs)
    creating.check("database killed while creates are under way")
    waiting.check("database killed while tasks run")


def test_an_api_server_that_dies(breakable_stack, open_account, rows):
    creating, waiting = open_account("creating", duration=1), open_account("waiting", duration=ENDLESS)
    runs = [waiting.run_dag("in_triggerer", rows)]
    runs[0].until_deferred(TASK_ID, rows)
    until_all_exist(waiting)
    runs.append(hold_creates(creating, "on_worker", rows, after=True))
    until_held(creating)
    breakable_stack.api_server.kill()
    waiting.kling.finish()
    until("the workers have their responses", lambda: not unanswered(creating, "create"))
    breakable_stack.repair()
    expect_success_with_repairs(breakable_stack, runs)
    creating.check("API server killed while creates are under way")
    waiting.check("API server killed while tasks run")


# --- Stages of a request


def hold_creates(account: Account, dag_id: str, rows: int, *, after: bool, seconds: float = HOLD_SECONDS, **columns: Any) -> Run:
    """Start a run. The first create of each row is held, before or after it creates the task."""
    for scene in SCENES[:rows]:
        account.kling.fault("slow", on="create", match=scene, seconds=seconds, after=after)
    return account.run_dag(dag_id, rows, effect_scene=SCENES[:rows], **columns)


def until_all_exist(account: Account) -> None:
    """Until Kling has created a task for each row: `finish` ends only those that exist."""
    until("all tasks exist", lambda: len(account.kling.ledger) == len(account.rows), timeout=PATIENCE)


def local_image(account: Account) -> Path:
    """Create an image on the local disk, which a triggerer on another machine could not read."""
    path = account.output / "image.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 320), "teal").save(path)
    return path


def until_held(*accounts: Account) -> None:
    """Wait until at least half of Airflow's workers wait for the response to a create.

    The other workers are about to send theirs, so a fault now hits their rows too.
    """

    def held() -> bool:
        counts = [len(unanswered(account, "create")) for account in accounts]
        return all(counts) and sum(counts) >= TASKS_AT_ONCE // 2

    until("creates are held", held, timeout=PATIENCE)


def unanswered(account: Account, kind: str) -> list[dict[str, Any]]:
    """The requests of this kind that have no response yet."""
    return [entry for entry in account.kling.requests(kind) if entry["status"] is None]


def until_answered(account: Account) -> None:
    """Wait until Kling has completed all creates, also those of processes that have died since."""
    until("all creates are answered", lambda: not unanswered(account, "create"), timeout=PATIENCE)


def rows_of(entries: Any) -> set[int]:
    """The rows of these journal entries or tasks."""
    return {SCENES.index(entry["effect_scene"]) for entry in entries if entry["effect_scene"]}


def connected_rows(run: Run, account: Account) -> set[int]:
    """The rows whose workers have a connection to Kling."""
    port = account.kling.url.rpartition(":")[2]
    found = set()
    for row, process in workers(run).items():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(each.raddr and str(each.raddr.port) == port for each in process.net_connections("tcp")):
                found.add(row)
    return found


def rows_with_partial_file(account: Account) -> set[int]:
    """The rows whose videos are partly written to the disk."""
    parts = [path.name for path in (account.output / "videos").glob(".*.part") if path.stat().st_size]
    return rows_of(task for task in account.kling.ledger if any(task["kling_task_id"] in name for name in parts))


# --- Killing processes


def workers(run: Run, *, tries: int = 1) -> dict[int, psutil.Process]:
    """The processes that now run a row of this run, by row; only up to this try number."""
    query = """
        select map_index, pid from task_instance
        where dag_id = %s and run_id = %s and task_id = %s and state = 'running' and try_number <= %s and pid is not null
    """
    found = {}
    for row, pid in run.stack.sql(query, run.dag_id, run.run_id, TASK_ID, tries):
        with contextlib.suppress(psutil.NoSuchProcess):
            found[row] = psutil.Process(pid)
    return found


def tries_of(run: Run) -> dict[int, int]:
    query = "select map_index, try_number from task_instance where dag_id = %s and run_id = %s and task_id = %s"
    return dict(run.stack.sql(query, run.dag_id, run.run_id, TASK_ID))


def supervisor_of(process: psutil.Process) -> psutil.Process:
    """The LocalExecutor's process that started this task process."""
    supervisor = process.parent()
    assert supervisor is not None
    assert "LocalExecutor" in " ".join(supervisor.cmdline()), supervisor.cmdline()
    return supervisor


def kill_each_worker(run: Run, account: Account, rows_at_stage: Callable[[], Collection[int]]) -> None:
    """Kill the first worker of each row as soon as `rows_at_stage` has the row."""
    alive, killed = set(range(len(account.rows))), 0

    def all_killed() -> bool:
        nonlocal killed
        for row in alive & set(rows_at_stage()):
            if process := workers(run).get(row):
                kill_worker(process, with_supervisor=bool(row % 2))
                alive.discard(row)
                killed += 1
        # On a busy machine, Airflow itself may consider a worker dead and end it.
        alive.difference_update(row for row, tries in tries_of(run).items() if tries > 1)
        return not alive

    run.until("each worker is killed", all_killed, timeout=PATIENCE)
    assert killed > len(account.rows) * 3 // 4


def kill_worker(process: psutil.Process, *, with_supervisor: bool) -> None:
    """Kill a task's process, as the kernel does when memory runs out; with its supervisor, as when the machine dies."""
    supervisor = supervisor_of(process)
    if with_supervisor:
        supervisor.kill()
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.resume()


def kill_all(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def expect_success_after_retries(run: Run) -> None:
    """Wait until the run succeeds, and assert that each row needed more than one try."""
    assert run.until_done(timeout=PATIENCE) == "success"
    assert min(tries_of(run).values()) > 1, tries_of(run)


def expect_success_with_repairs(stack: Stack, runs: Collection[Run]) -> None:
    """Wait until the runs succeed, and meanwhile restart components that die, as an orchestrator does."""

    def done() -> bool:
        stack.repair()
        return all(run.state in ("success", "failed") for run in runs)

    until("the runs end", done, timeout=PATIENCE, describe=stack.log_tails)
    assert [run.state for run in runs] == ["success"] * len(runs), [run.describe() for run in runs]


@contextlib.contextmanager
def suspended(stack: Stack, triggerer: Process) -> Iterator[None]:
    """Within this context, one triggerer is suspended, and Airflow assigns all triggers to the other one.

    Afterwards it runs again, without triggers of tasks.
    """
    triggerer.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        triggerer.signal(signal.SIGCONT)
    until("the resumed triggerer has no triggers of tasks", lambda: stack.triggers_of(triggerer) == [])


def until_assigned(run: Run, rows: int, *, to: Process) -> None:
    """Wait until Airflow has assigned the triggers of all rows to this triggerer."""
    query = "select trigger_id from task_instance where dag_id = %s and run_id = %s and task_id = %s and state = 'deferred'"

    def all_assigned() -> bool:
        triggers = {trigger_id for (trigger_id,) in run.stack.sql(query, run.dag_id, run.run_id, TASK_ID)}
        return len(triggers & set(run.stack.triggers_of(to))) == rows

    run.until(f"{to.name} has all triggers", all_assigned, timeout=PATIENCE)


# --- A video host that stops in the middle of a download


class TruncatingHost:
    """Serves a video under each path. The first request for a path gets only the first half, and then nothing more."""

    def __init__(self) -> None:
        clip = (resources.files("airflow_provider_kling.emulator.videos") / "clip.mp4").read_bytes()
        free = 2**20  # bytes; clients write in blocks, and half of the video must be several blocks
        self.body = clip + free.to_bytes(4, "big") + b"free" + bytes(free - 8)
        self._seen: set[str] = set()
        self._closed = threading.Event()
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
                    host._closed.wait()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> TruncatingHost:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
