"""Values: classes with named fields that do not change, made without compiling code.

`@value` is what `@dataclass(frozen=True)` is, for the classes that every start of a worker loads. The decorator of `dataclasses`
compiles up to seven methods for each class, which takes 0.3 to 0.7 ms; a worker that starts and defers a task is to load all of
this package in 10 ms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        return lambda decorator: decorator


C = TypeVar("C", bound=type)
T = TypeVar("T")


@overload
def value(cls: C) -> C: ...


@overload
def value(*, kw_only: bool = ...) -> Callable[[C], C]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: Any = None, *, kw_only: bool = False) -> Any:
    """Make a value of this class, as `@dataclass(frozen=True)` does. Fields are its annotations; it has no parent with fields."""
    return _made(cls, kw_only) if cls is not None else lambda cls: _made(cls, kw_only)


def replace(one: T, **changes: Any) -> T:
    """A copy of a value with these fields changed."""
    return type(one)(**{**{name: getattr(one, name) for name in one._names}, **changes})  # type: ignore[attr-defined]


def _made(cls: type, kw_only: bool) -> type:
    fields: dict[str, Any] = {}
    for name in cls.__annotations__:
        given = cls.__dict__.get(name, MISSING)
        fields[name] = one = given if isinstance(given, dataclasses.Field) else field(default=given)
        one.name = name
        if given is one:
            if one.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, one.default)
    own: Any = cls
    own._names, own._positional = tuple(fields), () if kw_only else tuple(fields)
    own._defaults = {name: one.default for name, one in fields.items() if one.default is not MISSING}
    own._factories = {name: one.default_factory for name, one in fields.items() if one.default_factory is not MISSING}
    own._compared = tuple(name for name, one in fields.items() if one.compare)
    own._shown = tuple(name for name, one in fields.items() if one.repr)
    own.__dataclass_fields__ = fields  # for `dataclasses.replace`
    setattr(own, "__match_args__", own._positional)  # noqa: B010 - mypy knows the name
    for name in ("__init__", "__setattr__", "__delattr__", "__eq__", "__hash__", "__repr__"):
        if name not in cls.__dict__:
            setattr(cls, name, _Methods.__dict__[name])
    return cls


class _Methods:
    """What a class gets that does not have it itself."""

    def __init__(self: Any, *args: Any, **given: Any) -> None:
        cls = type(self)
        if args:
            if len(args) > len(cls._positional) or not given.keys().isdisjoint(cls._positional[: len(args)]):
                raise TypeError(f"{cls.__name__}() takes the fields {', '.join(cls._names)}, each once")
            given |= zip(cls._positional, args, strict=False)
        values = {**cls._defaults, **given}
        for name, factory in cls._factories.items():
            if name not in given:
                values[name] = factory()
        if len(values) != len(cls._names) or values.keys() != cls.__dataclass_fields__.keys():
            wrong = ", ".join(sorted(values.keys() ^ set(cls._names)))
            raise TypeError(f"{cls.__name__}() takes the fields {', '.join(cls._names)}; missing or unknown: {wrong}")
        self.__dict__.update(values)
        if after := getattr(self, "__post_init__", None):
            after()

    def __setattr__(self: Any, name: str, _: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        mine, others = self.__dict__, other.__dict__
        return all(mine[name] == others[name] for name in self._compared)

    def __hash__(self: Any) -> int:
        return hash(tuple(self.__dict__[name] for name in self._compared))

    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in self._shown)})"
