"""Save the videos of a task."""

from __future__ import annotations

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.client.flows.lookup import look_up
from airflow_provider_kling.client.flows.steps import Flow, Log, Saved, SaveVideo
from airflow_provider_kling.errors import KlingAnswerError, KlingDownloadError
from airflow_provider_kling.redaction import show_place


def save(product: Product, task: Task, destination: str) -> Flow[list[str]]:
    """The paths of the task's videos under this folder or URI, in their order.

    A file that exists is not loaded again. A dead link is renewed once, by a query of the task.
    """
    paths: list[str] = []
    for index, name in enumerate(file_names(task)):
        try:
            saved = yield from _save_one(product, task, index, SaveVideo(task.videos[index].url, destination, name))
        except KlingDownloadError as error:
            raise KlingDownloadError(
                f"{name} could not be loaded: {error} Kling task {task.kling_task_id} is paid for: run this again to load it.",
                expired=error.expired,
                retryable=True,
            ) from error
        place = show_place(saved.path)
        yield Log(f"Saved {place}." if saved.new else f"{place} is already saved.")
        paths.append(saved.path)
    return paths


def _save_one(product: Product, task: Task, index: int, step: SaveVideo) -> Flow[Saved]:
    saved: Saved
    try:
        saved = yield step
    except KlingDownloadError as error:
        if not error.expired:
            raise
        yield Log(f"The link of {step.name} is dead; asking Kling for a current one.")
        renewed = yield from look_up(product, task.kling_task_id)
        if len(renewed.videos) <= index:
            raise KlingAnswerError(f"Kling task {task.kling_task_id} no longer names video {index + 1}.") from error
        saved = yield SaveVideo(renewed.videos[index].url, step.destination, step.name)
    return saved


def file_names(task: Task) -> list[str]:
    """The file names of a task's videos: the same each time, so that nothing is loaded twice."""
    return [f"{task.kling_task_id}{f'_{number}' if number > 1 else ''}.mp4" for number in range(1, len(task.videos) + 1)]
