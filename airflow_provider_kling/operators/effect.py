"""KlingEffectOperator: one effect video asked of Kling."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_kling.links import KlingVideoLink
from airflow_provider_kling.outcomes import (
    CREATED_TASK,
    AirflowRescheduleException,
    earlier_attempt,
    finish,
    first_start,
    recording_failures,
    seconds,
    task_ids,
    task_of,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Submission
    from airflow_provider_kling.hooks import KlingHook

RESCHEDULE_AFTER = 10.0  # seconds, at least; Airflow's race with fast ends is in triggers.HOLD_BACK


class KlingEffectOperator(BaseOperator):
    """Creates a Kling task for one effect video, once, whatever is retried, cleared or killed.

    Returns the Kling task id or, with `wait_for_completion`, the result (plain JSON, see the docs). The ids of the
    task are in the XCom `kling_task` as soon as a worker knows of it.

    :param effect_scene: the scene, like `pet_lion_pro`. Templated.
    :param image: the image of a single-image scene: a URL, a path, a URI of an object store, or base64. Templated.
    :param images: the two images of a dual scene, the left one first. Templated.
    :param external_task_id: your own external id instead of the derived one; unique in the account. Templated.
    :param callback_url: where Kling is to post each change of state. Templated.
    :param kling_conn_id: the connection of the account, or a list of them (as text: with commas) whose accounts share the
        load. Templated.
    :param wait_for_completion: wait until the task is done.
    :param save_to: with `wait_for_completion`: a folder or URI for the videos. Templated.
    :param poll_interval: seconds between two looks at a task.
    :param timeout: seconds, or a timedelta, for waiting in all: for a slot, and until it is done. Default 24 hours.
    :param row_id: the manifest row this is for: it takes the map index's place in the external id. Templated.
    :param fresh: any text; another text asks for another video of the same request. Templated.
    :param strict: make unknown and discontinued scenes an error instead of a warning.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's `[operators] default_deferrable`.
    :param end_from_trigger: with `deferrable`: a success is also saved and ended by the triggerer, without a second start
        of a worker, where nothing is lost by it (see the docs). Default: a worker ends it.

    Waiting for a slot (error codes 1303 and 1302) uses no retry. Deferred, it uses no worker either: the triggerer creates
    the task when it is its turn; images that only workers can read wait by rescheduling the task.
    """

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
    )
    template_fields_renderers = {"images": "json"}
    ui_color = "#0b3d2e"
    ui_fgcolor = "#ffffff"
    operator_extra_links = (KlingVideoLink(),)

    def __init__(
        self,
        *,
        effect_scene: str,
        image: str | None = None,
        images: Sequence[str] | None = None,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        kling_conn_id: str | Sequence[str] = "kling_default",
        wait_for_completion: bool = False,
        save_to: str | None = None,
        poll_interval: float | timedelta = 10.0,
        timeout: float | timedelta = timedelta(hours=24),
        row_id: str | None = None,
        fresh: str | None = None,
        strict: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.effect_scene = effect_scene
        self.image = image
        self.images = images
        self.external_task_id = external_task_id
        self.callback_url = callback_url
        self.kling_conn_id = kling_conn_id
        self.wait_for_completion = wait_for_completion
        self.save_to = save_to
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.row_id = row_id
        self.fresh = fresh
        self.strict = strict
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self.video_url = ""  # for KlingVideoLink
        self._inline: dict[str, str] = {}
        self._hide_inline_images()

    def render_template_fields(self, context: Context, jinja_env: Environment | None = None) -> None:
        """Airflow stores and shows what was rendered: an image's bytes are put aside before it does."""
        super().render_template_fields(context, jinja_env)
        self._hide_inline_images()

    def execute(self, context: Context) -> Any:
        from airflow_provider_kling.client import flows
        from airflow_provider_kling.errors import KlingError

        now = time.time()
        with (
            recording_failures(context, row_id=self.row_id, effect_scene=self.effect_scene) as word,
            contextlib.ExitStack() as opened,
        ):
            submission = self._submission(context)
            deadline = self._deadline(context, now)
            adopt_existing = earlier_attempt(context)
            hook = opened.enter_context(self._account(context, submission, adopt_existing=adopt_existing))
            self.log.info("External id %s: asking Kling for %s", submission.external_id, self._asked())
            if not self.deferrable:
                task = hook.run(
                    flows.create_when_free(submission, adopt_existing=adopt_existing, deadline=deadline, say=self.log.info)
                )
            elif self._portable():
                # All creates of the triggerer stand in one queue for the slots; one from here would jump it.
                made = self._made_before(hook, submission) if adopt_existing else None
                if made is None:
                    self._wait_for_turn(hook, submission, deadline)
                task = made
            else:
                try:
                    task = hook.run(flows.create(submission, adopt_existing=adopt_existing, say=self.log.info))
                except KlingError as error:
                    if not error.retryable:
                        raise
                    self._come_back(deadline, error)
            word.task = task
            self.log.info("%s", flows.describe(task))
            self._know(context, task)
            if not self.wait_for_completion:
                return task.kling_task_id
            if not task.done and self.deferrable:
                self._wait_for_end(hook, task, deadline)
            if not task.done:
                word.task = task = hook.run(
                    flows.wait(
                        task.kling_task_id,
                        deadline=deadline,
                        poll_interval=seconds(self.poll_interval, "poll_interval"),
                        say=self.log.info,
                        status=task.status,
                    )
                )
            return self._finish(hook, task)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Called when a trigger has fired: the task exists, and is done if that was to be waited for."""
        from airflow_provider_kling.hooks import hook_of

        with recording_failures(context, row_id=self.row_id, effect_scene=self.effect_scene) as word:
            word.task = task = task_of(event)
            self._know(context, task)
            if not self.wait_for_completion:
                return task.kling_task_id
            with hook_of(task.kling_task_id, self.kling_conn_id, event) as hook:
                return self._finish(hook, task)

    def on_kill(self) -> None:
        self.log.info(
            "Stopped. Kling has no cancel: a task that was created goes on there and will be charged. "
            "Run this task again to take it without paying twice."
        )

    def _submission(self, context: Context) -> Submission:
        from airflow_provider_kling.api import EffectRequest, check_id
        from airflow_provider_kling.client import Submission, external_id_of
        from airflow_provider_kling.manifests import load_image

        request = EffectRequest(self.effect_scene, [load_image(source) for source in self._sources()])
        for warning in request.check_scene(strict=self.strict):
            self.log.warning("%s", warning)
        ti = context["ti"]
        place = self.row_id or (ti.map_index if ti.map_index is not None else -1)
        external_id = self.external_task_id or external_id_of(
            request, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, place=place, fresh=self.fresh
        )
        return Submission(request=request, external_id=check_id(external_id), callback_url=self.callback_url)

    def _asked(self) -> str:
        from airflow_provider_kling.manifests import label

        return f"scene {self.effect_scene!r} with {' and '.join(map(label, self._sources()))}"

    def _sources(self) -> list[str]:
        """Where the images are to be had, as the user said it."""
        from airflow_provider_kling.errors import KlingInputError

        if self.image and self.images:
            raise KlingInputError("Both image and images are given; wanted is image for one, images for two.")
        if isinstance(self.images, str):
            raise KlingInputError("images is a text; wanted is a list of two images.")
        given = [self.image] if self.image else list(self.images or ())
        return [self._inline.get(source, source) for source in given]

    def _hide_inline_images(self) -> None:
        if self.image:
            self.image = self._hidden(self.image)
        if isinstance(self.images, list | tuple):
            self.images = [self._hidden(image) for image in self.images]

    def _hidden(self, image: Any) -> Any:
        from airflow_provider_kling.manifests import is_inline, label

        if not isinstance(image, str) or image in self._inline or not is_inline(image):
            return image
        shown = f"<{label(image)}, {hashlib.sha256(image.encode()).hexdigest()[:8]}>"
        self._inline[shown] = image
        return shown

    def _deadline(self, context: Context, now: float) -> float:
        start = first_start(context, datetime.fromtimestamp(now, timezone.utc))
        return start.timestamp() + seconds(self.timeout, "timeout")

    def _portable(self) -> bool:
        """Whether the triggerer, perhaps another machine, can read the images as this worker does."""
        from airflow_provider_kling.manifests import is_portable

        return all(map(is_portable, self._sources()))

    def _made_before(self, hook: KlingHook, submission: Submission) -> Task | None:
        """The task that an earlier attempt has made, unless it failed or cannot be asked for at the moment."""
        from airflow_provider_kling.client import flows
        from airflow_provider_kling.errors import KlingError

        try:
            task = hook.run(flows.find(submission.external_id))
        except KlingError as error:
            if not error.retryable:
                raise
            return None
        if task is None or task.failed:
            return None
        self.log.info("%s", flows.describe_adopted(submission.external_id, task))
        return task

    def _wait_for_turn(self, hook: KlingHook, submission: Submission, deadline: float) -> NoReturn:
        """Give the worker back: the triggerer creates the task, as soon as there is a slot."""
        from airflow_provider_kling.triggers import KlingEffectTrigger, defer

        defer(
            self,
            KlingEffectTrigger,
            kling_conn_id=hook.kling_conn_id,
            deadline=deadline,
            poll_interval=seconds(self.poll_interval, "poll_interval"),
            effect_scene=self.effect_scene,
            images=self._sources(),
            external_id=submission.external_id,
            callback_url=submission.callback_url,
            wait_for_completion=self.wait_for_completion,
        )

    def _come_back(self, deadline: float, error: Exception) -> NoReturn:
        """Give the worker back until there may be a slot: only workers can read the images."""
        from airflow_provider_kling.errors import KlingSlotsFullError, KlingTimeoutError

        if time.time() >= deadline:
            raise KlingTimeoutError(f"No Kling task could be created until the timeout. Last answer: {error}") from error
        why = "All slots of the account are taken." if isinstance(error, KlingSlotsFullError) else str(error)
        pause = random.uniform(RESCHEDULE_AFTER, 2 * RESCHEDULE_AFTER)  # noqa: S311 - only keeps many apart
        self.log.info("%s Trying again in %.0f s, without a retry; only workers can read this image.", why, pause)
        raise AirflowRescheduleException(datetime.now(timezone.utc) + timedelta(seconds=pause))

    def _wait_for_end(self, hook: KlingHook, task: Task, deadline: float) -> NoReturn:
        """Give the worker back until the task is done."""
        from airflow_provider_kling.triggers import KlingTaskTrigger, defer

        defer(
            self,
            KlingTaskTrigger,
            kling_conn_id=hook.kling_conn_id,
            deadline=deadline,
            poll_interval=seconds(self.poll_interval, "poll_interval"),
            kling_task_id=task.kling_task_id,
            effect_scene=self.effect_scene,
        )

    def _know(self, context: Context, task: Task) -> None:
        context["ti"].xcom_push(key=CREATED_TASK, value=task_ids(task, row_id=self.row_id))

    def _finish(self, hook: KlingHook, task: Task) -> dict[str, Any]:
        result = finish(hook, task, save_to=self.save_to, effect_scene=self.effect_scene, row_id=self.row_id)
        self.video_url = task.videos[0].url
        return result

    def _account(self, context: Context, submission: Submission, *, adopt_existing: bool) -> KlingHook:
        """The account for this submission; the same for all its tries."""
        from airflow_provider_kling.hooks import accounts

        map_index = context["ti"].map_index
        place = map_index if map_index is not None and map_index >= 0 else submission.external_id
        hook = accounts.account_of(submission, self.kling_conn_id, place=place, adopt_existing=adopt_existing)
        if len(accounts.conn_ids(self.kling_conn_id)) > 1:
            self.log.info("Account %s.", hook.kling_conn_id)
        return hook
