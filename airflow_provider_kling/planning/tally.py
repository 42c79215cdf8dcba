"""A plan's rows, counted: how many videos will be made, of which scenes, and what they will cost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_kling.api import ErrorKind, scenes
from airflow_provider_kling.planning.scenes import listing_of
from airflow_provider_kling.prices import Price
from airflow_provider_kling.redaction import show_text
from airflow_provider_kling.results import CAPPED as CAPPED, ERROR as ERROR, INVALID as INVALID, units_text

MAKE = "make"  # will be asked for
MADE = "made"  # an earlier attempt has made it, or it runs: it is adopted, and costs nothing more
FAILED = "failed"  # an earlier attempt's task failed, and would fail again
PLAN_STATES = (MAKE, MADE, FAILED, INVALID, ERROR, CAPPED)

MOST_PROBLEMS = 100  # rows that a plan names
MOST_SCENES = 500  # that a plan lists
LONGEST_REASON = 500  # characters


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """What will become of one row.

    `reason` says why it will have no new video, `kind` what that is about; `doubt` why Kling may refuse its scene all the same.
    `price` is that of its scene; None where the row has none.
    """

    number: int
    line: int
    id: str
    effect_scene: str | None
    state: str
    reason: str | None = None
    kind: ErrorKind | None = None
    doubt: str | None = None
    price: Price | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON; `units` are what it will cost, None where that is unknown."""
        units = self.price.units if self.price and self.state == MAKE else None
        return {
            "id": self.id,
            "line": self.line,
            "effect_scene": None if self.effect_scene is None else show_text(self.effect_scene),
            "state": self.state,
            "units": _text(units),
            "kind": self.kind,
            "reason": None if self.reason is None else show_text(self.reason)[:LONGEST_REASON],
            "doubt": self.doubt,
        }


@dataclass
class _Scene:
    """The rows of one scene."""

    price: Price
    doubt: str | None = None
    rows: int = 0
    videos: int = 0
    doubtful: int = 0


@dataclass
class Tally:
    """Counts rows one after the other. `of_scene` are the rows by scene, those of scenes beyond the first 500 included."""

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    problems: list[RowPlan] = field(default_factory=list)
    of_scene: dict[str, _Scene] = field(default_factory=dict)

    def add(self, row: RowPlan) -> None:
        """Count one more row."""
        self.counts[row.state] += 1
        if row.kind:
            self.kinds[row.kind] += 1
        if row.state not in (MAKE, MADE) and len(self.problems) < MOST_PROBLEMS:
            self.problems.append(row)
        if row.effect_scene is None or row.price is None:
            return
        scene = self.of_scene.setdefault(row.effect_scene, _Scene(row.price))
        scene.doubt = scene.doubt or row.doubt
        scene.rows += 1
        scene.videos += row.state == MAKE
        scene.doubtful += row.state == MAKE and row.doubt is not None

    @property
    def videos(self) -> int:
        return self.counts[MAKE]

    @property
    def doubtful(self) -> int:
        """Of the videos to make, those that Kling may refuse for their scenes."""
        return sum(scene.doubtful for scene in self.of_scene.values())

    def cost(self) -> Cost:
        """What the videos to make will cost."""
        return Cost.of((scene.price, scene.videos, scene.doubtful) for scene in self.of_scene.values())

    def scenes(self) -> list[dict[str, Any]]:
        """The scenes as plain JSON, those with the most videos first."""
        ranked = sorted(self.of_scene.items(), key=lambda one: (-one[1].videos, -one[1].rows, one[0]))
        return [_scene_json(name, scene) for name, scene in ranked[:MOST_SCENES]]

    def to_json(self) -> dict[str, Any]:
        """All that is counted, as plain JSON."""
        bad = sum(count for state, count in self.counts.items() if state not in (MAKE, MADE))
        return {
            "rows": sum(self.counts.values()),
            "counts": {state: self.counts[state] for state in PLAN_STATES},
            "videos": self.videos,
            "doubtful": self.doubtful,
            "cost": self.cost().to_json(),
            "scenes": self.scenes(),
            "more_scenes": max(0, len(self.of_scene) - MOST_SCENES),
            "kinds": dict(self.kinds.most_common()),
            "problems": [_problem(row) for row in self.problems],
            "more_problems": bad - len(self.problems),
        }


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What videos will cost, in units.

    `known` is the sum of the prices that are known, `unknown` the number of videos without one. `low` counts these with the
    lowest known price, and videos of doubtful scenes not at all; `at_most` counts with the highest one. Both are None where no
    price of any scene is known. Tasks that fail cost nothing, so it may become less than `low`.
    """

    known: Decimal
    unknown: int
    low: Decimal | None
    at_most: Decimal | None

    @classmethod
    def of(cls, scenes: Any) -> Cost:
        """The cost of scenes: each a price, its number of videos, and how many of these are doubtful."""
        known = low = most = Decimal(0)
        unknown, fathomable = 0, True
        for price, videos, doubtful in scenes:
            if not videos:
                continue
            least = price.units if price.units is not None else price.low
            if price.units is None:
                unknown += videos
            else:
                known += price.units * videos
            if least is None or price.at_most is None:
                fathomable = False
                continue
            low += least * (videos - doubtful)
            most += price.at_most * videos
        return cls(known=known, unknown=unknown, low=low if fathomable else None, at_most=most if fathomable else None)

    def to_json(self) -> dict[str, Any]:
        return {"known": _text(self.known), "unknown": self.unknown, "low": _text(self.low), "at_most": _text(self.at_most)}


def _scene_json(name: str, scene: _Scene) -> dict[str, Any]:
    price = scene.price
    return {
        "effect_scene": show_text(name),
        "rows": scene.rows,
        "videos": scene.videos,
        "price": _text(price.units),
        "price_text": price.describe(),
        "price_seen": _day(price),
        "listed": listing_of(name, scenes()),
        "units": _text(None if price.units is None else price.units * scene.videos),
        "doubt": scene.doubt,
    }


def _problem(row: RowPlan) -> Mapping[str, Any]:
    found = row.to_json()
    return {name: found[name] for name in ("id", "line", "effect_scene", "state", "kind", "reason")}


def _text(units: Decimal | None) -> str | None:
    return None if units is None else units_text(units)


def _day(price: Price) -> str | None:
    """The day (UTC) on which the price was last seen; None for one that was fixed by hand, or is not known."""
    return None if price.last_seen is None else price.last_seen.in_timezone("UTC").to_date_string()
