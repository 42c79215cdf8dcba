"""KlingEffectOperator: requests one effect video from Kling."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.providers.common.compat.sdk import conf

from airflow_provider_kling import naming
from airflow_provider_kling.client import seconds
from airflow_provider_kling.lineage import TaskLineage
from airflow_provider_kling.links import KlingVideoLink
from airflow_provider_kling.operator_base import DEFAULT_TIMEOUT, ROW_KEYS, KlingOperator
from airflow_provider_kling.operators.checks import check_rendered, check_written
from airflow_provider_kling.operators.inline_images import InlineImages
from airflow_provider_kling.outcomes import push_task_ids, recording_failures, task_of
from airflow_provider_kling.retry_policy import use_default_policy
from airflow_provider_kling.saving import save_as_of

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.arguments import Later, Place
    from airflow_provider_kling.client import Deadline, Submission
    from airflow_provider_kling.hooks import KlingHook


class KlingEffectOperator(TaskLineage, KlingOperator):
    """Creates the Kling task for one effect video, and only one, even if the Airflow task is retried, cleared or killed.

    Returns the Kling task id or, with `wait_for_completion`, the result (plain JSON, see the docs). The XCom `kling_task`
    holds the ids of the task as soon as a worker knows of it.

    :param effect_scene: the scene, like `pet_lion_pro`. Templated.
    :param image: the image of a single-image scene: a URL, a path, a URI of an object store, or base64. Templated.
    :param images: the two images of a dual scene, the left one first. Templated.
    :param external_task_id: your own external id instead of the derived one; unique in the account. Templated.
    :param callback_url: the URL to which Kling posts each change of status; "auto" for the receiver in Airflow's API server, at
        `[kling] callback_base_url`. Templated.
    :param kling_conn_id: the connection of the account. For several accounts that share the load: a list of their
        connections, or a text with commas. Templated.
    :param wait_for_completion: wait until the task is done.
    :param save_to: with `wait_for_completion`: a folder or URI for the videos. Templated.
    :param file_name: how videos are named, like `{date}/{row_id}-{effect_scene}-{kling_task_id}.mp4`; see the docs.
    :param watermark: save the version with a watermark, too.
    :param sidecar: save the result as JSON beside each video.
    :param poll_interval: seconds between two polls of a task.
    :param timeout: seconds, or a timedelta, for the whole wait: for a slot, and until the task is done. Default: 24 hours.
    :param row_id: the id of the manifest row. It replaces the map index in the external id. Templated.
    :param row: a row that `mapping.read_manifest` returned, in place of `row_id`, `effect_scene`, `image` and `images`: for
        `expand(row=…)`. Nothing in it is rendered.
    :param fresh: any text. With another text, the same request creates another video. Templated.
    :param max_videos: the most videos of all instances of this task in a DAG run. Templated.
    :param max_units: the most that they may cost, as the price book knows it. Templated.
    :param fail_if_capped: fail an instance beyond these caps, or those of the connection, instead of skipping it.
    :param strict: treat unknown and discontinued scenes as errors instead of warnings.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's `[operators] default_deferrable`.
    :param end_from_trigger: with `deferrable`: after a success, the triggerer saves the videos and ends the task, without a
        second start of a worker. "auto", the default, and True leave the task to a worker if it needs one (see the docs);
        False always does.

    Waiting for a slot (error codes 1303 and 1302) uses no retry. With `deferrable` it uses no worker either: the triggerer
    creates the task when it is its turn. If only workers can read the images, the task is rescheduled instead.

    Wrong arguments raise KlingInputError when the DAG is parsed. While it runs, an error that no retry can mend fails the task at
    once: AirflowFailException, with the KlingError as its `__cause__`. Any other KlingError, like KlingTimeoutError or
    KlingStorageError, is raised as it is, so that Airflow's retries apply.
    """

    __supports_durable_execution: ClassVar[bool] = True  # as Airflow's registry reads it, from this very name

    template_fields: Sequence[str] = (
        "effect_scene",
        "image",
        "images",
        "external_task_id",
        "callback_url",
        "kling_conn_id",
        "save_to",
        "row_id",
        "fresh",
        "max_videos",
        "max_units",
    )
    row_fields = ROW_KEYS
    place_fields: Iterable[str] = ("image", "images", "save_to")
    template_fields_renderers = {"images": "json"}
    ui_color = "#0b3d2e"
    ui_fgcolor = "#ffffff"
    operator_extra_links: Any = (KlingVideoLink(),)
    request_follows = False  # scene and images are known when the task runs, as those of `@task.kling_effect`

    def __init__(
        self,
        *,
        effect_scene: str | Later | None = None,
        image: Place | Later | None = None,
        images: Sequence[Place | Later] | Later | None = None,
        external_task_id: str | Later | None = None,
        callback_url: str | Later | None = None,
        kling_conn_id: str | Sequence[str] | Later = "kling_default",
        wait_for_completion: bool = False,
        save_to: Place | Later | None = None,
        file_name: str | None = None,
        watermark: bool = False,
        sidecar: bool = False,
        poll_interval: float | timedelta = 10.0,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        row_id: str | Later | None = None,
        row: Mapping[str, Any] | Later | None = None,
        fresh: str | Later | None = None,
        max_videos: int | str | Later | None = None,
        max_units: float | str | Later | None = None,
        fail_if_capped: bool = False,
        strict: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool | Literal["auto"] = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        use_default_policy(self)
        self.effect_scene: Any = effect_scene
        self.image: Any = image
        self.images: Any = images
        self.external_task_id: Any = external_task_id
        self.callback_url: Any = callback_url
        self.kling_conn_id: Any = kling_conn_id
        self.wait_for_completion = wait_for_completion
        self.save_to: Any = save_to
        self.file_name, self.watermark, self.sidecar = file_name, watermark, sidecar
        self.save_as = naming.SaveAs()
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.row_id: Any = row_id
        self.fresh: Any = fresh
        self.max_videos, self.max_units, self.fail_if_capped = max_videos, max_units, fail_if_capped
        self.strict = strict
        self.deferrable = deferrable
        self.take_end_from_trigger(end_from_trigger, deferrable=deferrable)
        self.video_url = ""  # for KlingVideoLink
        self.take_row(row)
        self._unknown = self.unknown_fields()
        if not self.is_unmapped:
            check_written(self)
        self._inline = InlineImages()
        self._hide_inline_images()

    def render_template_fields(self, context: Context, jinja_env: Environment | None = None) -> None:
        """Airflow stores and shows rendered fields, so placeholders replace the bytes of images before it does."""
        super().render_template_fields(context, jinja_env)
        self._hide_inline_images()

    def use_row(self, context: Context) -> None:
        super().use_row(context)
        self._hide_inline_images()

    def execute(self, context: Context) -> Any:
        from airflow_provider_kling.client import Deadline
        from airflow_provider_kling.operators.submissions import account_for, called_back, deadline_of, log_level

        now = time.time()
        self.use_row(context)
        with (
            recording_failures(context, row_id=self.row_id, effect_scene=self.effect_scene, account=self.kling_conn_id) as record,
            contextlib.ExitStack() as opened,
        ):
            submission = self._submission(context)
            self.save_as = save_as_of(vars(self), context)
            deadline = Deadline.of(deadline_of(context, self.timeout, now))
            level = log_level(context)
            hook = opened.enter_context(account_for(context, submission, self.kling_conn_id, log=self.log, level=level))
            self.log.log(level, "External id %s: asking Kling for %s", submission.external_id, self._description())
            record.account = hook.kling_conn_id
            submission = called_back(submission, hook)
            made = self._task_made(context, hook, submission)
            record.task = made or self._create(hook, submission, deadline, level)
            from airflow_provider_kling.operators.waits import go_on  # not for a worker that has deferred

            return go_on(self, context, hook, submission, record, deadline)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Called after a trigger has fired: the task exists, and is done if the operator waits for its completion."""
        from airflow_provider_kling.hooks import hook_of
        from airflow_provider_kling.task_end import end

        self.use_row(context)
        with recording_failures(context, row_id=self.row_id, effect_scene=self.effect_scene, account=self.kling_conn_id) as record:
            record.task = task = task_of(event)
            record.effect_scene = event.get("effect_scene", self.effect_scene)  # events of older triggers hold none
            if not event.get("recorded"):
                push_task_ids(context, task, row_id=self.row_id, effect_scene=record.effect_scene)
            if not self.wait_for_completion:
                return task.kling_task_id
            self.save_as = save_as_of(vars(self), context)
            with hook_of(task.kling_task_id, self.kling_conn_id, event) as hook:
                return end(self, context, hook, task, record)

    def on_kill(self) -> None:
        self.log.info(
            "Stopped. Kling has no cancel: a task that was created goes on there and will be charged. "
            "Run this task again to adopt it without paying twice."
        )

    # --- The submission

    def _submission(self, context: Context) -> Submission:
        from airflow_provider_kling.api import EffectRequest
        from airflow_provider_kling.manifests import load_image
        from airflow_provider_kling.operators.submissions import submission_of
        from airflow_provider_kling.writable import check_writable

        check_rendered(self, self._unknown)
        request = EffectRequest(self.effect_scene or "", [load_image(source) for source in self._sources()])
        for warning in request.check_scene(strict=self.strict):
            self.log.warning("%s", warning)
        if self.save_to:
            check_writable(self.save_to, "save_to")
        return submission_of(
            context,
            request,
            external_task_id=self.external_task_id,
            row_id=self.row_id,
            fresh=self.fresh,
            callback_url=self.callback_url,
        )

    def _sources(self) -> list[str]:
        """The sources of the images, without placeholders."""
        return self._inline.reveal(self.image, self.images)

    def _description(self) -> str:
        from airflow_provider_kling.redaction import show_place

        return f"scene {self.effect_scene!r} with {' and '.join(map(show_place, self._sources()))}"

    def _hide_inline_images(self) -> None:
        if self.image:
            self.image = self._inline.hide(self.image)
        if isinstance(self.images, list | tuple):
            self.images = [self._inline.hide(image) for image in self.images]

    def _task_made(self, context: Context, hook: KlingHook, submission: Submission) -> Task | None:
        """The task that there is, where no other may be created. Raises KlingCappedError if a cap is reached without it."""
        if self.max_videos is None and self.max_units is None:
            return None
        from airflow_provider_kling.caps import RunCap
        from airflow_provider_kling.operators.capping import task_within

        return task_within(context, hook, submission, RunCap.of(self.max_videos, self.max_units), log=self.log)

    # --- Three ways to create

    def _create(self, hook: KlingHook, submission: Submission, deadline: Deadline, level: int) -> Task:
        """The task: created on this worker, or adopted. Deferred, the triggerer or a later start of a worker creates it."""
        from airflow_provider_kling.manifests import is_portable
        from airflow_provider_kling.operators.submissions import adoptable_task

        if not self.deferrable:
            from airflow_provider_kling.client import flows, last_answer_by
            from airflow_provider_kling.metrics import CREATE_SPAN

            flow = flows.create_when_free(hook.product, submission, deadline=deadline.monotonic)
            return hook.run(flow, last_answer_by(deadline.monotonic), span=CREATE_SPAN)
        if not all(map(is_portable, self._sources())):
            from airflow_provider_kling.operators.reschedule import create_or_reschedule

            return create_or_reschedule(hook, submission, deadline, log=self.log, level=level)
        # All creates of the triggerer wait in one queue for the slots. A create from here would jump the queue.
        return adoptable_task(hook, submission, log=self.log) or self._defer_create(hook, submission, deadline.unix)

    def _defer_create(self, hook: KlingHook, submission: Submission, deadline: float) -> NoReturn:
        """Release the worker: the triggerer creates the task as soon as there is a slot."""
        from airflow_provider_kling.triggers import KlingEffectTrigger, defer

        defer(
            self,
            KlingEffectTrigger,
            hook=hook,
            deadline=deadline,
            poll_interval=seconds(self.poll_interval, "poll_interval"),
            effect_scene=self.effect_scene,
            images=self._sources(),
            external_id=submission.external_id,
            callback_url=submission.callback_url,
            wait_for_completion=self.wait_for_completion,
            tries=submission.max_attempts,
        )
