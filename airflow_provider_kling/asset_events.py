"""What asset events say of the videos that a task made: operators and sensors with `outlets` add it as they end.

An event never fails a task: its video is made and paid for. May import `redaction`, `storage` and `results`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_kling.redaction import is_link, show_place, show_reason

if TYPE_CHECKING:
    from airflow.sdk import Context

# The most videos of one task with an event for an AssetAlias. Airflow (3.3.2) registers events one by one, in the request that
# ends the task, and gives that up after [workers] execution_api_timeout, by default 5 seconds: 100 took 0.9 s, 1,000 took 17 s.
MAX_EVENTS = 100

log = logging.getLogger(__name__)


def add_result(context: Context, result: Mapping[str, Any]) -> None:
    """Let the task's asset events carry this result: of an asset in its `extra`, of an AssetAlias as one event a video.

    `extra` holds `path`, `kling_task_id`, `external_task_id`, `effect_scene`, `units`, `row_id`, `url`, `expires_at` and
    `duration`; for an asset those of the first video, and `paths` of all. What else stands in the event's `extra` stays.
    """
    outlets = context.get("outlets")
    if not outlets:
        return
    videos = list(result.get("videos") or ())
    if videos:
        paths = [video["path"] for video in videos if video.get("path")]
        _add_extra(context, {**_extra_of(result, videos[0]), "paths": paths})
    _add_videos(context, [result])


def add_summary(context: Context, summary: Mapping[str, Any]) -> None:
    """Let the task's asset events carry this summary of results; of an AssetAlias one event a video, at most MAX_EVENTS.

    The videos are read from the results that the summary names.
    """
    if not context.get("outlets"):
        return
    _add_extra(context, dict(summary))
    try:
        _add_videos(context, _lines(str(summary["results"])))
    except Exception as error:  # noqa: BLE001 - each store has errors of its own
        log.warning("Not all videos have asset events: %s", show_reason(error, str(summary["results"])))


def _lines(results: str) -> Iterator[Mapping[str, Any]]:
    from airflow_provider_kling.object_paths import storage_path
    from airflow_provider_kling.results import intact_lines

    for line in intact_lines(storage_path(results)):
        yield {**line, "row_id": line["id"]}


def _add_extra(context: Context, extra: dict[str, Any]) -> None:
    """Add this to the `extra` of the event of each asset; what the author of the DAG has put there wins."""
    from airflow.sdk import AssetAlias

    for outlet in context["outlets"]:
        if not isinstance(outlet, AssetAlias):
            try:
                event = context["outlet_events"][outlet]
                event.extra = {**extra, **event.extra}
            except TypeError:  # no asset: outlets may hold what other providers read
                continue
            except Exception as error:  # noqa: BLE001 - Airflow asks its server for an asset that is named by a reference
                log.warning("The event of the outlet %s carries no result: %s", outlet, show_reason(error))


def _add_videos(context: Context, results: Iterable[Mapping[str, Any]]) -> None:
    """Add one event for each saved video to each AssetAlias among the outlets."""
    from airflow.sdk import AssetAlias

    aliases = [outlet for outlet in context["outlets"] if isinstance(outlet, AssetAlias)]
    if not aliases:
        return
    made = ((result, video) for result in results for video in result.get("videos") or () if result.get("status") == "succeed")
    added, not_saved = 0, 0
    for result, video in made:
        if not video.get("path"):
            not_saved += 1
        elif added == MAX_EVENTS:
            log.warning(
                "Asset events for the first %d videos only: Airflow registers each of them while the task ends. An event of "
                "an Asset names the results, which have all.",
                MAX_EVENTS,
            )
            return
        else:
            added += _add_video(context, aliases, result, video)
    if not_saved:
        log.info("No asset event for %d videos that are not saved: Kling's link ends, and is no place of theirs.", not_saved)


def _add_video(context: Context, aliases: Iterable[Any], result: Mapping[str, Any], video: Mapping[str, Any]) -> bool:
    """Add the event of one video; False, with a warning, where Airflow takes no asset with its URI."""
    from airflow.sdk import Asset

    try:
        asset = Asset(uri=uri_of(video["path"]))
        for alias in aliases:
            context["outlet_events"][alias].add(asset, extra=_extra_of(result, video))
    except Exception as error:  # noqa: BLE001 - each scheme has checks of its own provider
        log.warning("No asset event for %s: %s", show_place(video["path"]), show_reason(error, video["path"]))
        return False
    return True


def uri_of(path: str) -> str:
    """The URI of an asset for a saved video: `file:///videos/a.mp4`, `s3://bucket/videos/a.mp4`.

    Without the id of a connection, which is no part of the place, and quoted, since Airflow drops what looks like a query or
    a fragment, and takes only ASCII on MySQL.
    """
    scheme, separator, rest = path.partition("://")
    if not separator:
        return f"file://{quote(path)}"
    bucket, slash, key = rest.partition("/")
    return f"{scheme.lower()}://{bucket.rpartition('@')[2]}{slash}{quote(key)}"


def _extra_of(result: Mapping[str, Any], video: Mapping[str, Any]) -> dict[str, Any]:
    url = video.get("url")
    return {
        "path": video.get("path"),
        **{name: result.get(name) for name in ("kling_task_id", "external_task_id", "effect_scene", "units", "row_id")},
        "url": url if is_link(url) else None,
        **{name: video.get(name) for name in ("expires_at", "duration")},
    }
