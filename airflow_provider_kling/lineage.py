"""What OpenLineage learns: which image became which video.

Airflow's OpenLineage provider calls these methods, where it is installed and on. Nothing here imports it before.
Datasets have the names of OpenLineage's specification (openlineage.io/docs/spec/naming), and never a secret: no query of a
URL, no user, no connection id. An image that is written as base64 is no dataset.

May import `outcomes` and everything below it.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_kling.places import hide_secrets
from airflow_provider_kling.redaction import is_inline, is_link, scheme_of
from airflow_provider_kling.values import value

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_kling.outcomes import FailureRecord

MOST_ROWS = 50  # of a batch, whose images and videos are named; an event about 100,000 rows would be of no use
AZURE = (".dfs.core.windows.net", ".blob.core.windows.net")


@value
class DatasetName:
    """A dataset as OpenLineage names it."""

    namespace: str
    name: str


def dataset_name(place: object) -> DatasetName | None:
    """The dataset of a path, URL or URI; None for what names no place, like an image in base64.

    `s3://conn@bucket/a/b.jpg` is `a/b.jpg` in `s3://bucket`, a path is in `file`, a URL in `https://host`, without its query.
    """
    if not isinstance(place, str) or not place.strip() or is_inline(place) or place.startswith("<"):
        return None
    scheme = scheme_of(place)
    if scheme in (None, "file", "local"):
        return DatasetName("file", os.path.abspath(unquote(urlsplit(place).path) if scheme else place))
    try:
        parts = urlsplit(place)
        host = _with_port(parts.hostname, parts.port)
    except ValueError:
        return None
    if not host:
        return None
    path = parts.path if is_link(place) else _key(place)
    if parts.netloc.lower().endswith(AZURE):  # container@account: what stands before the @ is no user
        host = parts.netloc.lower()
    elif not is_link(place):
        host = parts.netloc.rpartition("@")[2]  # names of buckets may differ in case
    return DatasetName(f"{scheme}://{host}", path.lstrip("/") or "/")


def _with_port(host: str | None, port: int | None) -> str:
    name = f"[{host}]" if host and ":" in host else host or ""
    return f"{name}:{port}" if name and port else name


def _key(place: str) -> str:
    """The key of an object. Unlike the path of a URL, it may hold a question mark; what looks like a secret is hidden."""
    return hide_secrets(place).partition("://")[2].partition("/")[2]


def datasets(places: Iterable[object], *, output: bool = False) -> list[Any]:
    """OpenLineage's datasets of these places, each once."""
    from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset

    names = dict.fromkeys(name for name in map(dataset_name, places) if name is not None)
    dataset: Any = OutputDataset if output else InputDataset
    return [dataset(namespace=name.namespace, name=name.name) for name in names]


class TaskLineage:
    """The lineage of an operator or sensor for one task: image → video, and the facet `kling_task` of the run."""

    row_record: FailureRecord | None = None  # set by `outcomes.recording_failures`
    row: Any

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """The images that are known when the task starts."""
        return _lineage(inputs=datasets(self._images()))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """The images, and the videos: where they are saved, or Kling's own links."""
        record = self.row_record
        result = record.result if record is not None and record.result is not None else {}
        videos = [video["path"] or video["url"] for video in result.get("videos", ())]
        facets = {"kling_task": _task_facet(record)} if record is not None else {}
        return _lineage(datasets(self._images()), datasets(videos, output=True), facets)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """The images, and the task that was made of them, if there is one."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _images(self) -> Iterator[object]:
        row = self.row if isinstance(self.row, Mapping) else {}
        for name in ("image", "images"):
            value = getattr(self, name, None) or row.get(name)
            yield from value if isinstance(value, list | tuple) else [value]


class BatchLineage:
    """The lineage of a batch: the manifest → the results, with the images and videos of its first rows."""

    manifest: Any
    results: Any
    format: Any
    strict: Any
    summary: dict[str, Any] | None = None  # once the results are written

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """The manifest."""
        return _lineage(datasets([self.manifest]))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Manifest and images, results and videos, and the facet `kling_batch` with the counts."""
        summary = self.summary
        if summary is None:
            return self.get_openlineage_facets_on_start()
        inputs = [self.manifest, *self._images()]
        outputs = [summary["results"], summary.get("report"), *self._videos(summary["results"])]
        facets = {"kling_batch": _batch_facet(summary)}
        return _lineage(datasets(inputs), datasets(outputs, output=True), facets)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """The same as far as it is known."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _images(self) -> Iterator[str]:
        """The images of the first rows."""
        from airflow_provider_kling.manifests import ManifestFile, Row

        with ManifestFile(self.manifest, format=self.format, strict=self.strict) as manifest:
            for row in itertools.islice(manifest.rows(), MOST_ROWS):
                yield from row.images if isinstance(row, Row) else ()

    def _videos(self, results: str) -> Iterator[str | None]:
        """The videos of the first rows."""
        from airflow_provider_kling.object_paths import storage_path
        from airflow_provider_kling.results import read_results

        for line in itertools.islice(read_results(storage_path(results)), MOST_ROWS):
            for video in (line.data or {}).get("videos") or ():
                yield video.get("path") or video.get("url")


def _lineage(
    inputs: list[Any], outputs: list[Any] | None = None, facets: dict[str, Any] | None = None
) -> OperatorLineage[Any, Any]:
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=inputs, outputs=outputs or [], run_facets=facets or {})


def _task_facet(record: FailureRecord) -> Any:
    task = record.task
    return _facet_classes().task(
        klingTaskId=task.kling_task_id if task else None,
        externalTaskId=task.external_task_id if task else None,
        effectScene=record.effect_scene,
        status=task.status if task else None,
        units=task.units if task else None,
    )


def _batch_facet(summary: Mapping[str, Any]) -> Any:
    counts = {name: summary.get(name, 0) for name in ("rows", "succeed", "failed", "invalid", "capped", "error")}
    return _facet_classes().batch(**counts, units=str(summary.get("units", "0")), rowsNamed=min(MOST_ROWS, counts["rows"]))


@value
class _FacetClasses:
    task: Any
    batch: Any


@functools.cache
def _facet_classes() -> _FacetClasses:
    """The classes of the facets. Ids and units are texts: a number of 18 digits is not exact everywhere."""
    import attr
    from airflow.providers.common.compat.openlineage.facet import RunFacet

    @attr.define(kw_only=True)
    class KlingTaskRunFacet(RunFacet):  # type: ignore[misc,unused-ignore]
        klingTaskId: str | None = None  # noqa: N815 - names in events are written so
        externalTaskId: str | None = None  # noqa: N815
        effectScene: str | None = None  # noqa: N815
        status: str | None = None
        units: str | None = None

    @attr.define(kw_only=True)
    class KlingBatchRunFacet(RunFacet):  # type: ignore[misc,unused-ignore]
        rows: int = 0
        succeed: int = 0
        failed: int = 0
        invalid: int = 0
        capped: int = 0
        error: int = 0
        units: str = "0"
        rowsNamed: int = 0  # noqa: N815 - rows whose images and videos the event names

    return _FacetClasses(KlingTaskRunFacet, KlingBatchRunFacet)
