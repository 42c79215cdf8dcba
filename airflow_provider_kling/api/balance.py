"""What the account's resource packs hold, and how late that number is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pendulum

from airflow_provider_kling.api.paths import BALANCE_DELAY
from airflow_provider_kling.api.tasks import ResourcePack


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The units that tasks can be paid with, as Kling showed them at `read_at`. The number is up to 12 hours old then.

    It counts packs that are online and have not expired. Units that tasks of the last hours took may still be in it, and
    units that were bought in the last hours may be missing.
    """

    units: Decimal
    packs: tuple[ResourcePack, ...]
    read_at: pendulum.DateTime

    @classmethod
    def of(cls, packs: Sequence[ResourcePack], *, now: pendulum.DateTime, name: str | None = None) -> Balance:
        """The balance of these packs or, with a name, of those that are called so."""
        counted = tuple(pack for pack in packs if name is None or pack.name == name)
        return cls(units=sum((pack.usable_units(now) for pack in counted), Decimal(0)), packs=counted, read_at=now)

    @property
    def as_of(self) -> pendulum.DateTime:
        """The earliest time of which the number may be."""
        return self.read_at.subtract(seconds=int(BALANCE_DELAY))

    def describe(self) -> str:
        """One sentence for a log."""
        usable = sum(pack.usable_units(self.read_at) > 0 for pack in self.packs)
        which = f"{usable} of {len(self.packs)} resource packs" if self.packs else "no resource pack"
        return f"{format(self.units, 'f')} units in {which}; Kling's number may be {BALANCE_DELAY / 3600:.0f} h old."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: units as decimal texts, times as ISO 8601 in UTC."""
        return {
            "units": format(self.units, "f"),
            "read_at": _iso(self.read_at),
            "as_of": _iso(self.as_of),
            "delay_hours": BALANCE_DELAY / 3600,
            "packs": [
                {
                    "id": pack.id,
                    "name": pack.name,
                    "status": pack.status,
                    "units": format(pack.usable_units(self.read_at), "f"),
                    "invalid_at": _iso(pack.invalid_at),
                }
                for pack in self.packs
            ],
        }


def _iso(time: pendulum.DateTime | None) -> str | None:
    return None if time is None else time.in_timezone("UTC").to_iso8601_string()
