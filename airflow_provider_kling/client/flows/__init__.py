"""What takes several calls: create without paying twice, wait until done, save. Decided here, done by a driver.

A flow is a generator of steps. Its driver (`Client.run`, `AsyncClient.run`) takes each step, sends back what it brings or
throws in the KlingError that came instead, and returns what the flow returns:

- a `Call` is sent to the API; drivers repeat reads over faults that may pass, and never repeat a create;
- `Sleep` waits, `CheckCapacity` checks the user's own limit of running tasks, `Reserve` and `GiveBack` hold the caps of the
  account, `LoadRequest` loads images when they are sent, `SaveVideo` stores a video, `Log` writes to the caller's log,
  `Count` counts an event in the metrics.

So each rule stands here once, for worker and triggerer, and is tested without a socket or a clock.
"""

from airflow_provider_kling.client.flows.charges import charges
from airflow_provider_kling.client.flows.create import RETRY_WAIT, KnownIds, create
from airflow_provider_kling.client.flows.create_when_free import SLOT_PAUSE, create_when_free
from airflow_provider_kling.client.flows.describe import describe, describe_adopted, describe_refusal
from airflow_provider_kling.client.flows.earlier import MOST_PAGES, MadeInRun, made_for_row, made_in_run, spent
from airflow_provider_kling.client.flows.lookup import find, look_up
from airflow_provider_kling.client.flows.pauses import LONGEST_RETRY_AFTER, LONGEST_TROUBLE_PAUSE, asked_pause, format_seconds
from airflow_provider_kling.client.flows.save import SavedFiles, file_names, save, save_files, video_name
from airflow_provider_kling.client.flows.steps import (
    CheckCapacity,
    Count,
    Flow,
    GiveBack,
    LoadRequest,
    Log,
    Reserve,
    Reserved,
    Saved,
    SaveVideo,
    Sleep,
    Step,
)
from airflow_provider_kling.client.flows.submission import Submission, attempt_of, external_id_of, run_key
from airflow_provider_kling.client.flows.wait import Watch, wait

__all__ = [
    "LONGEST_RETRY_AFTER",
    "LONGEST_TROUBLE_PAUSE",
    "MOST_PAGES",
    "RETRY_WAIT",
    "SLOT_PAUSE",
    "CheckCapacity",
    "Count",
    "Flow",
    "GiveBack",
    "KnownIds",
    "LoadRequest",
    "Log",
    "MadeInRun",
    "Reserve",
    "Reserved",
    "SaveVideo",
    "Saved",
    "SavedFiles",
    "Sleep",
    "Step",
    "Submission",
    "Watch",
    "asked_pause",
    "attempt_of",
    "charges",
    "create",
    "create_when_free",
    "describe",
    "describe_adopted",
    "describe_refusal",
    "external_id_of",
    "file_names",
    "find",
    "format_seconds",
    "look_up",
    "made_for_row",
    "made_in_run",
    "run_key",
    "save",
    "save_files",
    "spent",
    "video_name",
    "wait",
]
