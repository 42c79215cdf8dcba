"""Values: what `@value` makes of a class is what `@dataclass(frozen=True)` makes of it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import pytest

from airflow_provider_kling.values import replace, value


@value
class Point:
    """Where."""

    x: int
    y: int = 0
    names: list[str] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sum", self.x + self.y)


@dataclass(frozen=True)
class Twin:
    """Where."""

    x: int
    y: int = 0
    names: list[str] = field(default_factory=list, compare=False, repr=False)


@value(kw_only=True)
class Named:
    """By name."""

    name: str
    secret: str = field(default="s", repr=False)


@pytest.mark.parametrize(("args", "kwargs"), [((1,), {}), ((1, 2), {}), ((), {"x": 1}), ((1,), {"y": 2, "names": ["a"]})])
def test_it_is_like_a_frozen_dataclass(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    one, twin = Point(*args, **kwargs), Twin(*args, **kwargs)
    assert repr(one) == repr(twin).replace("Twin", "Point")
    assert (one.x, one.y, one.names) == (twin.x, twin.y, twin.names)
    assert one == Point(*args, **kwargs)
    assert hash(one) == hash(twin)
    assert one != twin
    assert one != Point(9)
    assert one == Point(one.x, one.y, ["another"])


@pytest.mark.parametrize("cls", [Point, Twin])
@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1}), ((), {"x": 1, "z": 2})]
)
def test_wrong_arguments_are_a_type_error(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        cls(*args, **kwargs)


def test_it_does_not_change() -> None:
    one = Point(1)
    with pytest.raises(FrozenInstanceError):
        one.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del one.x
    assert Point(1).names is not one.names


def test_names_alone_and_what_is_not_shown() -> None:
    assert repr(Named(name="a")) == "Named(name='a')"
    with pytest.raises(TypeError):
        Named("a")  # type: ignore[misc]
    assert Named.secret == "s"


def test_it_can_be_copied_changed_matched_and_pickled() -> None:
    one = Point(1, 2)
    assert replace(one, y=3) == dataclasses.replace(one, y=3) == Point(1, 3)  # type: ignore[type-var]
    assert replace(one, y=3).sum == 4  # type: ignore[attr-defined]
    assert copy.deepcopy(one) == one == pickle.loads(pickle.dumps(one))  # noqa: S301 - made here
    match one:
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            raise AssertionError
