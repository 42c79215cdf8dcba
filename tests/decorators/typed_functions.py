"""What type checkers know of decorated functions: `make types` checks this file; nothing runs it.

A comment `type: ignore[…]` marks a mistake that they must find; one that they do not find is an error itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import task
from typing_extensions import assert_type

from airflow_provider_kling.decorators import kling_effect


@kling_effect
def bare(url: str) -> dict[str, str]:
    return {"effect_scene": "squish", "image": url}


@kling_effect(effect_scene="squish", deferrable=True, timeout=timedelta(hours=1), retries=2)
def with_options(url: str, *, price: int = 0) -> dict[str, Any]:
    return {"image": url, "columns": {"price": price}}


@kling_effect(results="s3://bucket/results", max_failures="5%")
def several() -> list[dict[str, str]]:
    return []


@task.kling_effect(effect_scene="squish")
def by_name(url: str) -> dict[str, str]:
    return {"image": url}


bare("https://example.com/a.jpg")
with_options("https://example.com/a.jpg", price=3)
several()
by_name("https://example.com/a.jpg")
with_options.partial(price=3).expand(url=["https://example.com/a.jpg"])
assert_type(bare.function("x"), "Any")  # type: ignore[assert-type] # what stands behind `return` is a request, or a list of them
bare(5)  # type: ignore[arg-type]
several("x")  # type: ignore[call-arg]


@kling_effect(deferrable="yes")  # type: ignore[call-overload,untyped-decorator]
def wrong_option() -> dict[str, str]:
    return {}


@kling_effect  # type: ignore[arg-type]
def wrong_value() -> int:
    return 5
