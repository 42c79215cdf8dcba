"""Airflow's real processes store no key, token or image, neither while tasks wait nor when they are done."""

from __future__ import annotations

import base64
import json

from account import Account
from airflow_api import Run
from leaks import leaks
from places import PHOTOS
from stack import Stack

KEYS = {
    "api_key": ["an-api-key/of+the=stack~0123456789"],
    "access_key": ["access-key-of-the-stack-0123456789:secret-key+of/the=stack~0123456789"],
}
ROWS = 3
PATIENCE = 300  # seconds
PHOTO = min(PHOTOS.glob("*.jpg"))
IMAGE = PHOTO.read_bytes()
MODES = [  # the DAG, its task that waits, and the options of `run_dag`
    ("create_and_wait", "video.wait", {}),
    ("in_triggerer", "video", {"image": str(PHOTO)}),
    ("batch_on_worker", "video", {"image": base64.b64encode(IMAGE).decode()}),
    ("batch_in_triggerer", "video", {"shared": True}),
]


def test_neither_database_nor_logs_hold_a_key_a_token_or_an_image(stack, open_account):
    needles: dict[str, bytes | str] = {"the image": IMAGE, "the image in base64": base64.b64encode(IMAGE)}
    accounts: list[Account] = []
    runs: list[tuple[Run, str]] = []
    for auth, keys in KEYS.items():
        needles |= {f"part {number} of {auth}": part for number, part in enumerate(keys[0].split(":"))}
        for dag_id, task_id, options in MODES:
            account = open_account(f"secret_{auth}_{dag_id}", auth=auth, duration=3600, **{auth: keys})
            accounts.append(account)
            runs.append((account.run_dag(dag_id, ROWS, **options), task_id))
    for account, (run, task_id) in zip(accounts, runs, strict=True):
        run.until("all tasks exist", lambda account=account: len(account.kling.ledger) == ROWS, timeout=PATIENCE)
        run.until("the task waits", lambda run=run, task_id=task_id: run.count(task_id, "deferred", "running"), timeout=PATIENCE)
    found = leaks(needles, database_dump(stack, accounts))
    for account in accounts:
        account.kling.finish()
    for run, _ in runs:
        assert run.until_done(timeout=PATIENCE) == "success"
    results = [account.output / "results.jsonl" for account in accounts]
    assert all(path.exists() for path in results)
    found += leaks(needles, database_dump(stack, accounts), stack.home / "logs", stack.logs, *results)
    assert not found, json.dumps(found, indent=1)


def database_dump(stack: Stack, accounts: list[Account]) -> str:
    """Airflow's database without its connections, where keys belong.

    When a connection is created, Airflow (3.3.2) writes its login, which is the access key, into the audit log. So those
    entries are left out as well.
    """
    dump = stack.postgres.dump("airflow", excluding=["connection", "log"])
    assert all(account.conn_id in dump for account in accounts)
    audit = stack.sql("select * from log where event <> 'post_connection'")
    return "\n".join([dump, *map(str, audit)])
