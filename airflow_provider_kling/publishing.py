"""Publishes what was made: copies the saved videos that results name into one folder, each once. For use within tasks.

    publish(read_lines("s3://bucket/out/results.jsonl"), "s3://shop/videos")        # of one manifest
    publish(lines_of_events(context["triggering_asset_events"]), "/srv/videos")    # of what a DAG was triggered by

`dags/kling_effects_published.py` is a whole DAG with both.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import posixpath
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.errors import KlingError, KlingStorageError
from airflow_provider_kling.redaction import show_error, show_place, show_reason

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_kling.arguments import Place

COPIES = 8  # videos that are copied at once
MAX_LOGGED = 50  # videos that the log names

PUBLISHED = "published"
ALREADY_THERE = "already_there"
NOT_PUBLISHED = "not_published"
NOT_SAVED = "not_saved"
WITHOUT_VIDEO = "without_video"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PublishedLine:
    """A line of results, what became of its videos (`states`), where those are now (`paths`), and what kept one from it."""

    line: Mapping[str, Any]
    states: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    error: str | None = None


def publish(lines: Iterable[Mapping[str, Any]], folder: Place) -> dict[str, Any]:
    """Copy the videos of these lines of results into `folder`, a path or URI, under the names that they have.

    A video that is there already, byte for byte, is not copied again; a file of that name that is something else stays as it
    is, and the video gets its Kling task's id into its name. Returns a summary: the numbers of videos `published`,
    `already_there`, `not_saved` (only Kling's link is known), of rows `without_video`, and `folder`. Raises
    KlingStorageError, after all others are published, for videos that could not be. One process at a time may publish
    into a folder.
    """
    return summary_of(publishing(lines, folder), folder)


def publishing(
    lines: Iterable[Mapping[str, Any]], folder: Place, *, only: Callable[[Mapping[str, Any]], bool] = lambda line: True
) -> Iterator[PublishedLine]:
    """`publish` line by line, in their order; some videos are copied ahead. An error is in its line.

    Of the lines that are not `only`, nothing is published.
    """
    from airflow_provider_kling.object_paths import storage_path

    publisher = _Publisher(storage_path(folder))
    waiting: collections.deque[Future[PublishedLine]] = collections.deque()
    with ThreadPoolExecutor(COPIES) as pool:
        try:
            for line in lines:
                waiting.append(pool.submit(publisher.publish, line, wanted=only(line)))
                if len(waiting) > 2 * COPIES:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def summary_of(published: Iterable[PublishedLine], folder: Place, *, strict: bool = True) -> dict[str, Any]:
    """The summary that `publish` returns. Raises KlingStorageError for videos that could not be published, unless not `strict`."""
    counts: Counter[str] = Counter()
    errors: list[str] = []
    for one in published:
        counts.update(one.states or [WITHOUT_VIDEO])
        if one.error:
            errors.append(one.error)
    place = show_place(str(folder))
    log.info(
        "Published to %s: %d videos; %d were there already, %d are not saved, %d rows have no video.",
        *(place, *(counts[name] for name in (PUBLISHED, ALREADY_THERE, NOT_SAVED, WITHOUT_VIDEO))),
    )
    if errors and strict:
        raise KlingStorageError(f"{len(errors)} videos could not be published to {place}. The first: {errors[0]}")
    names = (PUBLISHED, ALREADY_THERE, NOT_PUBLISHED, NOT_SAVED, WITHOUT_VIDEO)
    return {**{name: counts[name] for name in names}, "folder": str(folder)}


def read_lines(results: Place) -> Iterator[Mapping[str, Any]]:
    """The lines of a `results.jsonl`, given by its path or URI or by that of its folder. Damaged lines are logged and left out.

    Raises KlingInputError where there is none that can be read.
    """
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import RESULTS, intact_lines

    path = storage_path(results)
    yield from intact_lines(path if path.name.endswith(".jsonl") else path / RESULTS)


def lines_of_events(events: Mapping[Any, Iterable[Any]]) -> Iterator[Mapping[str, Any]]:
    """The lines of results behind `context["triggering_asset_events"]`: whole results, or one video each.

    An event of another producer, which carries neither, is logged and left out.
    """
    seen: set[tuple[str, ...]] = set()
    for event in _each(events):
        extra = getattr(event, "extra", None) or {}
        known = tuple(str(extra[name]) for name in ("results", "path", "kling_task_id") if name in extra)
        if known in seen:
            continue
        seen |= {known} if known else set()
        if isinstance(extra.get("results"), str):
            log.info("Event of run %s: the results %s.", _run_of(event), show_place(extra["results"]))
            yield from read_lines(extra["results"])
        elif isinstance(extra.get("path"), str):
            paths = extra.get("paths")
            videos = [{"path": path} for path in (paths if isinstance(paths, list) else [extra["path"]]) if isinstance(path, str)]
            yield {**extra, "id": extra.get("row_id"), "status": "succeed", "videos": videos}
        else:
            log.warning("An event of run %s names no results and no saved video; it is left out.", _run_of(event))


def _each(events: Mapping[Any, Iterable[Any]]) -> Iterator[Any]:
    """All events, each once: one for an alias stands under its asset, too."""
    ids = set()
    for key in events:
        for event in events[key]:
            if (name := getattr(event, "id", None) or id(event)) not in ids:
                ids.add(name)
                yield event


def _run_of(event: Any) -> str:
    return f"{getattr(event, 'source_dag_id', None)} {getattr(event, 'source_run_id', None)}"


class _Publisher:
    """Copies videos into one folder, from several threads."""

    def __init__(self, folder: ObjectStoragePath) -> None:
        self._folder = folder
        self._locks = [threading.Lock() for _ in range(64)]  # two videos of one name are copied one after the other
        self._logged = 0

    def publish(self, line: Mapping[str, Any], *, wanted: bool) -> PublishedLine:
        """Publish the videos of one line of results. Raises nothing: an error goes into what it returns."""
        if line.get("status") != "succeed" or not wanted:
            return PublishedLine(line=line)
        states, paths, errors = [], [], []
        for video in line.get("videos") or ():
            source = video.get("path")
            if not source:
                states.append(NOT_SAVED)
                continue
            try:
                state, path = self._publish(source, str(line.get("kling_task_id") or ""))
                paths.append(path)
            except Exception as error:  # noqa: BLE001 - each store has errors of its own; one video must not keep back the others
                state = NOT_PUBLISHED
                errors.append(show_error(error) if isinstance(error, KlingError) else f"{show_place(source)}: {show_error(error)}")
            states.append(state)
        for text in errors:
            log.error("Row %s is not published: %s", line.get("id"), text)
        return PublishedLine(line=line, states=tuple(states), paths=tuple(paths), error=errors[0] if errors else None)

    def _publish(self, place: str, kling_task_id: str) -> tuple[str, str]:
        """Copy one video unless it is there. Returns its state, and its new place."""
        from airflow_provider_kling.object_paths import location_of, storage_path

        source = storage_path(place)
        stem, suffix = posixpath.splitext(source.name)
        for name in (source.name, f"{stem}-{kling_task_id}{suffix}"):
            target = self._folder / name
            with self._locks[hash(name.casefold()) % len(self._locks)]:
                if location_of(target) == location_of(source):
                    return ALREADY_THERE, location_of(target)
                if not target.exists():
                    _copy(source, target)
                    self._log("Published %s.", target)
                    return PUBLISHED, location_of(target)
                if _is_same(source, target):
                    return ALREADY_THERE, location_of(target)
            log.warning("%s is another file already; it stays as it is.", show_place(location_of(target)))
        raise KlingStorageError(f"{show_place(location_of(target))} and its like are other files already; nothing was overwritten.")

    def _log(self, text: str, target: ObjectStoragePath) -> None:
        from airflow_provider_kling.object_paths import location_of

        self._logged += 1
        if self._logged <= MAX_LOGGED or self._logged % 500 == 0:
            log.info(text, show_place(location_of(target)))


def _copy(source: ObjectStoragePath, target: ObjectStoragePath) -> None:
    """Copy a video, so that it appears whole or not at all. What is no whole MP4 is no video: KlingStorageError."""
    from airflow_provider_kling.object_paths import shown
    from airflow_provider_kling.saved_videos import is_video
    from airflow_provider_kling.storage import CHUNK, atomic_write

    if not is_video(source):
        raise KlingStorageError(f"{shown(source)} does not exist any more, or is no whole MP4.")
    with _opened(source) as read, atomic_write(target) as file:
        while chunk := read(CHUNK):
            file.write(chunk)


def _is_same(source: ObjectStoragePath, target: ObjectStoragePath) -> bool:
    """Whether both are the same bytes."""
    from airflow_provider_kling.storage import CHUNK

    if not target.is_file():
        return False
    with _opened(source) as read, _opened(target) as other:
        if source.stat().st_size != target.stat().st_size:
            return False
        while chunk := read(CHUNK):
            if chunk != other(CHUNK):
                return False
    return True


@contextlib.contextmanager
def _opened(path: ObjectStoragePath) -> Iterator[Callable[[int], bytes]]:
    """How to read a file. Errors of the file system and of the store become KlingStorageError, which names this file."""
    from airflow_provider_kling.object_paths import location_of, shown

    def failed(error: OSError) -> KlingStorageError:
        return KlingStorageError(f"{shown(path)} could not be read: {show_reason(error, location_of(path))}.")

    try:
        file = path.open("rb")
    except OSError as error:
        raise failed(error) from None

    def read(size: int) -> bytes:
        try:
            return bytes(file.read(size))
        except OSError as error:
            raise failed(error) from None

    with file:
        yield read


def check_folder(folder: Place | None, *, named: str) -> str:
    """The folder or URI to publish to, as text, before anything is paid. `named` says where its name comes from.

    Raises AirflowFailException where there is none, which no retry mends, and KlingStorageError where it cannot be written.
    """
    from airflow.providers.common.compat.sdk import AirflowFailException

    from airflow_provider_kling.arguments import place_text
    from airflow_provider_kling.writable import check_writable

    text = place_text(folder)
    if not isinstance(text, str) or not text.strip():
        raise AirflowFailException(f"There is no folder to publish to: set {named}.")
    check_writable(text, "folder")
    return text
