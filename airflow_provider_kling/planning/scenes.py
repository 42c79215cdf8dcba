"""Why a scene may be refused, as far as the published lists tell. Pure.

Lists change without notice, so a doubt is no error: such a row is asked for unless the run is `strict`, and what Kling refuses
costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from airflow_provider_kling.api import EffectRequest, Scene

# The hosts of the accounts' regions (vendor's page on the API's domains).
REGIONS = {"api-singapore.klingai.com": "Singapore", "api-beijing.klingai.com": "Beijing"}
_SOME_URL = "https://example.com/image.jpg"  # stands for any image where only their number counts


def region_of(base_url: str) -> str | None:
    """The region of the accounts at this base URL; None for a host that tells none."""
    return REGIONS.get((urlsplit(base_url).hostname or "").lower())


def listed_regions(known: Mapping[str, Scene]) -> set[str]:
    """The regions for which there is a list at all."""
    return {region for scene in known.values() for region in scene.regions}


def doubt_about(scene: str, images: int, regions: frozenset[str], known: Mapping[str, Scene]) -> str | None:
    """Why Kling may refuse this scene with so many images: one sentence; None for a scene that is offered.

    `regions` are those of the accounts that may make the row.
    """
    facts = known.get(scene)
    if facts is None or facts.discontinued:
        return " ".join(EffectRequest(scene, (_SOME_URL,) * images).check_scene()) or None
    lacking = sorted(regions & listed_regions(known) - set(facts.regions))
    if lacking:
        return f"Scene {scene!r} is not in the list of {lacking[0]}, the account's region; it is in that of {_names(facts)}."
    return None


def listing_of(scene: str, known: Mapping[str, Scene]) -> str:
    """How Kling's lists name a scene, in a few words: `current`, `older list`, `discontinued 2026-01-30` or `not listed`."""
    facts = known.get(scene)
    if facts is None:
        return "not listed"
    return {"discontinued": f"discontinued {facts.discontinued}", "unknown": "older list"}.get(facts.state, facts.state)


def _names(facts: Scene) -> str:
    return ", ".join(facts.regions) or "none"
