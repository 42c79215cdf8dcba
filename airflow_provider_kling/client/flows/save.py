"""Save the videos of a task."""

from __future__ import annotations

import logging
from typing import NamedTuple

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.client.flows.lookup import look_up
from airflow_provider_kling.client.flows.steps import Flow, Log, Saved, SaveVideo
from airflow_provider_kling.errors import KlingAnswerError, KlingDownloadError
from airflow_provider_kling.naming import SaveAs, VideoName
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.values import replace

PLAIN = SaveAs()


class SavedFiles(NamedTuple):
    """The paths of a task's videos, in their order, and those of the versions with a watermark, where they were asked for.

    A video of which Kling has no such version has None there.
    """

    paths: list[str]
    watermarked: list[str | None] | None = None


def save_files(product: Product, task: Task, destination: str, save_as: SaveAs = PLAIN) -> Flow[SavedFiles]:
    """Save what `save_as` asks for; see `save`."""
    paths = yield from save(product, task, destination, save_as)
    if not save_as.watermark:
        return SavedFiles(paths)
    watermarked: list[str | None] = []
    for index, video in enumerate(task.videos):
        if not video.watermark_url:
            yield Log(f"Kling has no version with a watermark of video {index + 1} of task {task.kling_task_id}.", logging.WARNING)
            watermarked.append(None)
        else:
            watermarked.append((yield from _save_one(product, task, index, destination, save_as, watermark=True)))
    return SavedFiles(paths, watermarked)


def save(product: Product, task: Task, destination: str, save_as: SaveAs = PLAIN) -> Flow[list[str]]:
    """The paths of the task's videos under this folder or URI, in their order.

    A file that exists is not loaded again. A dead link is renewed once, by a query of the task.
    """
    paths: list[str] = []
    for index in range(len(task.videos)):
        path = yield from _save_one(product, task, index, destination, save_as, watermark=False)
        paths.append(path)
    return paths


def _save_one(product: Product, task: Task, index: int, destination: str, save_as: SaveAs, *, watermark: bool) -> Flow[str]:
    names = video_name(task, index, save_as, watermark=watermark)
    step = SaveVideo(_link(task, index, watermark=watermark), destination, names.name, names)
    try:
        saved = yield from _load(product, task, index, step, watermark=watermark)
    except KlingDownloadError as error:
        raise KlingDownloadError(
            f"{names.name} could not be loaded: {error} Kling task {task.kling_task_id} is paid for: run this again to load it.",
            expired=error.expired,
            retryable=True,
        ) from error
    if saved.note:
        yield Log(saved.note, logging.WARNING)
    place = show_place(saved.path)
    yield Log(f"Saved {place}." if saved.new else f"{place} is already saved.")
    return saved.path


def _load(product: Product, task: Task, index: int, step: SaveVideo, *, watermark: bool) -> Flow[Saved]:
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
        saved = yield replace(step, url=_link(renewed, index, watermark=watermark))
    return saved


def _link(task: Task, index: int, *, watermark: bool) -> str:
    if not watermark:
        return task.videos[index].url
    if not (link := task.videos[index].watermark_url):
        raise KlingAnswerError(f"Kling task {task.kling_task_id} no longer names video {index + 1} with its watermark.")
    return link


def video_name(task: Task, index: int, save_as: SaveAs = PLAIN, *, watermark: bool = False) -> VideoName:
    """The names of one of the task's videos: the same each time, so that nothing is loaded twice."""
    return save_as.video(task.kling_task_id, task.external_task_id, index=index, count=len(task.videos), watermark=watermark)


def file_names(task: Task, save_as: SaveAs = PLAIN) -> list[str]:
    """The file names of a task's videos, where no file of something else has them."""
    return [video_name(task, index, save_as).name for index in range(len(task.videos))]
