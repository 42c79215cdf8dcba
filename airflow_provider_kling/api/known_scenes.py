"""The effect scenes that Kling's published lists name, as data. Cheap to import: DAG files do so when they are parsed."""

from __future__ import annotations

import functools
import importlib.resources
import json
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from airflow_provider_kling.values import value

CURRENT, DISCONTINUED, UNKNOWN = "current", "discontinued", "unknown"
STATES = {
    CURRENT: "the vendor's newest list has it",
    DISCONTINUED: "Kling announced its end",
    UNKNOWN: "only an older list has it: Kling may have removed it",
}

_MOST_SIMILAR = 10  # scenes that a misspelled word finds
_SHORTEST = 3  # letters of a word that another one may be similar to
_CUTOFF = 0.7  # of two words' similarity from 0 to 1: `lyon` finds `lion`, `cat` does not find `car`


@value(kw_only=True)
class Scene:
    """An effect scene that one of Kling's lists names.

    `images` is the number of its images, 1 or 2. `listed` names those lists, and `regions` the places of the accounts that
    they are for; both are empty where only its end was announced. `discontinued` is the day that the vendor announced as its
    end (ISO date), or None. `state` is `current` (the vendor's newest list has it), `discontinued`, or `unknown` (only an
    older list has it).
    """

    name: str
    images: int
    listed: tuple[str, ...] = ()
    discontinued: str | None = None
    regions: tuple[str, ...] = ()
    state: str = UNKNOWN


@functools.cache
def scenes() -> Mapping[str, Scene]:
    """All scenes that this version knows, by name. Kling adds and removes scenes without notice."""
    return MappingProxyType({name: _scene(name) for name in _data()["scenes"]})


def scene_of(name: str) -> Scene | None:
    """The scene of this name; None if this version does not know it. A worker with one row makes this one alone of hundreds."""
    return _scene(name) if name in _data()["scenes"] else None


@functools.cache
def _data() -> Any:
    text = importlib.resources.files(__package__).joinpath("effects.json").read_text(encoding="utf-8")
    return json.loads(text)


@functools.lru_cache(maxsize=1024)
def _scene(name: str) -> Scene:
    facts, lists = _data()["scenes"][name], _data()["lists"]
    ended, newest = facts.get("discontinued"), any(lists[one]["newest"] for one in facts["listed"])
    return Scene(
        name=name,
        images=facts["images"],
        listed=tuple(facts["listed"]),
        discontinued=ended,
        regions=tuple(dict.fromkeys(lists[one]["region"] for one in facts["listed"])),
        state=DISCONTINUED if ended else CURRENT if newest else UNKNOWN,
    )


def scene_names(*, images: int | None = None) -> list[str]:
    """The names of the current scenes, in the order of the alphabet: all of them, or those that take so many images.

    For the form of a DAG: `Param("pet_lion_pro", type="string", examples=scene_names(images=1))` suggests them.
    """
    return sorted(name for name, scene in scenes().items() if scene.state == CURRENT and (images is None or scene.images == images))


def similar_scenes(name: str) -> list[str]:
    """At most three known scenes with a similar name, the most similar first."""
    import difflib

    return difflib.get_close_matches(name, scenes(), n=3, cutoff=0.6)


def find_scenes(text: str) -> list[Scene]:
    """The scenes with each word of this text in their names, by name; without any, at most ten with similar words, nearest first.

    Capitals, and what stands between words, do not matter: `Pet Lion` finds `pet_lion_pro`.
    """
    wanted = _words(text)
    if text.strip() and not wanted:
        return []
    by_name = sorted(scenes().items())
    found = [scene for name, scene in by_name if all(word in "_".join(_words(name)) for word in wanted)]
    if found:
        return found
    ranked = [(min(_likeness(word, name) for word in wanted), scene) for name, scene in by_name]
    ranked = sorted((one for one in ranked if one[0] >= _CUTOFF), key=lambda one: -one[0])
    return [scene for _, scene in ranked[:_MOST_SIMILAR]]


def _likeness(word: str, name: str) -> float:
    """How similar a word is to the most similar word of a name, from 0 to 1. Words of one or two letters are like no other."""
    import difflib

    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(word)
    best = 0.0
    for other in _words(name):
        matcher.set_seq1(other)
        if len(other) >= _SHORTEST and matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
            best = max(best, matcher.ratio())
    return best


def _words(text: str) -> list[str]:
    """The words of a text or a name, in small letters and without apostrophes."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter if letter.isalnum() else "" if letter in "'’‘`´" else " " for letter in plain).split()
