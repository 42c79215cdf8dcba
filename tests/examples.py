"""How many inputs and worlds the property tests try: few in `make test`, many in `make properties`."""

from __future__ import annotations

from hypothesis import settings

MORE = 20


def many() -> bool:
    """Whether the profile `long` is loaded: `pytest --hypothesis-profile long`."""
    return settings.get_current_profile_name() == "long"


def examples(few: int) -> int:
    """So many examples, or many times as many."""
    return few * MORE if many() else few
