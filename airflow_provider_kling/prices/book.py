"""A price book as a value: prices seen in results, prices fixed by hand, and what follows from them. Pure.

Kling publishes no list of prices, and changes them (ten scenes on 10 September 2026). So a price is what the newest
succeeded task of its scene was charged. What was never seen is unknown, and stays so: it is not made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

import pendulum

from airflow_provider_kling.api import SUCCEED
from airflow_provider_kling.errors import KlingInputError

VERSION = 1
KEPT = 5  # prices of one scene, the newest: enough to see that it has changed
MOST_DIGITS = 30
LONGEST_SCENE = 200  # characters

Source = Literal["fixed", "learned", "unknown"]


class Observation(NamedTuple):
    """What one succeeded task of a scene was charged, and when it ended."""

    scene: str
    units: Decimal
    seen_at: pendulum.DateTime


@dataclass(frozen=True)
class SeenPrice:
    """A price of a scene, and when it was last seen."""

    units: Decimal
    last_seen: pendulum.DateTime

    @property
    def order(self) -> tuple[pendulum.DateTime, Decimal]:
        """Newer is greater; of two prices at one moment, the higher one."""
        return self.last_seen, self.units


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of a scene. `units` is None if it is unknown; `low` and `high` are the range of all known prices, if any."""

    scene: str
    units: Decimal | None
    source: Source
    last_seen: pendulum.DateTime | None = None
    low: Decimal | None = None
    high: Decimal | None = None

    @property
    def at_most(self) -> Decimal | None:
        """What to count with where too little would be wrong: the price or, if it is unknown, the highest known one."""
        return self.units if self.units is not None else self.high

    def describe(self) -> str:
        """The price in words, for a table or a log."""
        if self.source == "fixed":
            return f"{_text(self.units)} units, fixed by hand"
        if self.source == "learned" and self.last_seen is not None:
            return f"{_text(self.units)} units, last seen on {self.last_seen.in_timezone('UTC').to_date_string()}"
        if self.low is None:
            return "unknown; no price of any scene is known yet"
        known = _text(self.low) if self.low == self.high else f"{_text(self.low)} to {_text(self.high)}"
        return f"unknown; the known ones are {known} units"


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """Prices by scene. `fixed` are those that a person has set, `learned` those that were seen, the newest first.

    `other` is whatever else the file holds, a comment for example; it is kept.
    """

    fixed: Mapping[str, Decimal] = field(default_factory=dict)
    learned: Mapping[str, tuple[SeenPrice, ...]] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)

    def price(self, scene: str) -> Price:
        """The price of a scene: the fixed one, else the one that was seen last."""
        low, high = self.known_range() or (None, None)
        if scene in self.fixed:
            return Price(scene=scene, units=self.fixed[scene], source="fixed", low=low, high=high)
        if seen := self.learned.get(scene):
            return Price(scene=scene, units=seen[0].units, source="learned", last_seen=seen[0].last_seen, low=low, high=high)
        return Price(scene=scene, units=None, source="unknown", low=low, high=high)

    def prices(self) -> list[Price]:
        """The prices of all scenes that are known, by name."""
        return [self.price(scene) for scene in sorted(self.fixed.keys() | self.learned.keys())]

    def known_range(self) -> tuple[Decimal, Decimal] | None:
        """The lowest and the highest of the current prices; None if there are none."""
        current = [*self.fixed.values(), *(seen[0].units for scene, seen in self.learned.items() if scene not in self.fixed)]
        return (min(current), max(current)) if current else None

    def learn(self, observations: Iterable[Observation], *, now: pendulum.DateTime) -> PriceBook:
        """The book with these prices as well. Their order does not matter, and repeating one changes nothing.

        A time after `now` counts as `now`: a wrong clock must not make its price the newest for ever.
        """
        learned = dict(self.learned)
        for scene, units, seen_at in observations:
            if _is_scene(scene) and _is_price(units):
                learned[scene] = _with(learned.get(scene, ()), SeenPrice(units, min(seen_at, now)))
        return replace(self, learned=learned)

    def fix(self, scene: str, units: Decimal | None) -> PriceBook:
        """The book with the price of a scene set by hand; None sets it free. Raises KlingInputError for what is no price."""
        if not _is_scene(scene):
            raise KlingInputError(f"The scene of a price is {str(scene)[:60]!r}; wanted is its name.")
        fixed = {name: price for name, price in self.fixed.items() if name != scene}
        if units is not None:
            if not _is_price(units):
                raise KlingInputError(f"The price of scene {scene!r} is {str(units)[:60]}; wanted is a number of units.")
            fixed[scene] = units
        return replace(self, fixed=fixed)

    def to_text(self) -> str:
        """The book as the JSON of its file, which people may edit."""
        learned = {
            scene: [{"units": _text(seen.units), "last_seen": _iso(seen.last_seen)} for seen in self.learned[scene]]
            for scene in sorted(self.learned)
        }
        fixed = {scene: _text(self.fixed[scene]) for scene in sorted(self.fixed)}
        document = {"version": VERSION, **self.other, "fixed": fixed, "learned": learned}
        return json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n"

    @classmethod
    def from_text(cls, text: str | bytes) -> PriceBook:
        """The book in a file; an empty file is an empty book. Raises KlingInputError with what is wrong, and wanted instead."""
        if not text.strip():
            return cls()
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise KlingInputError("it is no JSON") from None
        if not isinstance(document, dict):
            raise KlingInputError("it is no JSON object")
        if document.get("version", VERSION) != VERSION:
            raise KlingInputError(f"its version is {str(document['version'])[:20]}; this package knows {VERSION}")
        fixed, learned = (document.get(name, {}) for name in ("fixed", "learned"))
        for name, value in (("fixed", fixed), ("learned", learned)):
            if not isinstance(value, dict):
                raise KlingInputError(f"{name!r} is no object of scenes")
        return cls(
            fixed={scene: _read_price(units, scene) for scene, units in fixed.items()},
            learned={scene: found for scene, entries in learned.items() if (found := _read_seen(entries, scene))},
            other={name: value for name, value in document.items() if name not in ("version", "fixed", "learned")},
        )


def observed(result: Mapping[str, Any]) -> Observation | None:
    """What a result (see `results.result_of`) tells of the price of its scene; None if it tells nothing."""
    scene, units, time = (result.get(name) for name in ("effect_scene", "units", "updated_at"))
    if result.get("status") != SUCCEED or not _is_scene(scene) or not isinstance(units, int | float | str):
        return None
    try:
        return Observation(str(scene), _read_price(units, str(scene)), _read_time(time, str(scene)))
    except KlingInputError:
        return None


def _with(seen: tuple[SeenPrice, ...], new: SeenPrice) -> tuple[SeenPrice, ...]:
    """The newest prices, each once with its latest time."""
    latest = {price.units: price for price in sorted((*seen, new), key=lambda price: price.order)}
    return tuple(sorted(latest.values(), key=lambda price: price.order, reverse=True)[:KEPT])


def _read_seen(entries: Any, scene: str) -> tuple[SeenPrice, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KlingInputError(f"the learned prices of {scene[:60]!r} are no list of objects")
    seen: tuple[SeenPrice, ...] = ()
    for entry in entries:
        seen = _with(seen, SeenPrice(_read_price(entry.get("units"), scene), _read_time(entry.get("last_seen"), scene)))
    return seen


def _read_price(value: Any, scene: str) -> Decimal:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > MOST_DIGITS:
            raise InvalidOperation
        price = Decimal(str(value).strip())
        if not _is_price(price):
            raise InvalidOperation
    except (InvalidOperation, ValueError):
        raise KlingInputError(f"the price of {scene[:60]!r} is {str(value)[:60]!r}; wanted is a number of units") from None
    return price


def _read_time(value: Any, scene: str) -> pendulum.DateTime:
    try:
        time = pendulum.parse(value) if isinstance(value, str) and len(value) < 50 else None
    except (ValueError, OverflowError):
        time = None
    if not isinstance(time, pendulum.DateTime):
        raise KlingInputError(
            f"a price of {scene[:60]!r} was seen at {str(value)[:60]!r}; wanted is a time like 2026-11-26T04:00:00Z"
        )
    return time.in_timezone("UTC")


def _is_scene(scene: Any) -> bool:
    return isinstance(scene, str) and 0 < len(scene) <= LONGEST_SCENE and scene.isprintable()


def _is_price(units: Any) -> bool:
    return isinstance(units, Decimal) and units.is_finite() and units >= 0 and abs(units.adjusted()) <= MOST_DIGITS


def _text(units: Decimal | None) -> str:
    return "" if units is None else format(units, "f")


def _iso(time: pendulum.DateTime) -> str:
    return time.in_timezone("UTC").to_iso8601_string()
