"""The ids by which a task is asked for: Kling's own, or an external id."""

from __future__ import annotations

from airflow_provider_kling.errors import KlingInputError


def check_id(any_id: str | int) -> str:
    """The id as text, if it can be part of a path; KlingInputError otherwise.

    An integer is accepted too: native templates turn the digits of a Kling task id into one.
    """
    if isinstance(any_id, int) and not isinstance(any_id, bool):
        any_id = str(any_id)
    if not isinstance(any_id, str):
        raise KlingInputError(f"A task id is {any_id!r}; wanted is a text: other numbers lose digits on the way.")
    if not any_id or any_id != any_id.strip() or any_id in (".", "..") or not any_id.isprintable():
        raise KlingInputError(f"A task id is {any_id!r}; wanted is the id of a Kling task, or an external id.")
    if len(any_id) > 256:
        raise KlingInputError(f"A task id has {len(any_id)} characters; wanted are at most 256.")
    return any_id
