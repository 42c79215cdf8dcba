"""The settings of an emulator. Its flags and environment variables follow from this dataclass (`options`)."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

DEFAULT_API_KEY = "emulator-api-key"
DEFAULT_ACCESS_KEY = "emulator-access-key:emulator-secret-key-of-32-characters"
BY_SCENE = "by-scene"

ORDERS = ("newest", "oldest", "shuffled")
VIDEOS = ("made", "clip")


def _option(default: Any, text: str, *, choices: Sequence[str] = ()) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of an emulator. Raises ValueError for an invalid one."""

    host: str = _option("127.0.0.1", "address to listen on")
    port: int = _option(8900, "port to listen on; 0 for any free one")
    public_url: str = _option("", "base URL of links to videos (default: the host that a request was sent to)")
    allowed_hosts: tuple[str, ...] = _option((), "a name by which requests may reach it, besides localhost and IP addresses")
    log: bool = _option(False, "print one line per request")
    api_key: tuple[str, ...] = _option((DEFAULT_API_KEY,), "an accepted API key")
    access_key: tuple[str, ...] = _option((DEFAULT_ACCESS_KEY,), "an accepted access key and its secret key, as ak:sk")
    webhook_secret: str = _option("", "sign callbacks with this secret (whsec_…)")
    skew: float = _option(0.0, "seconds by which the server's clock is ahead when it checks tokens")

    slots: int = _option(5, "how many tasks run at the same time")
    duration: float = _option(10.0, "seconds that a task takes")
    jitter: float = _option(0.0, "fraction by which the duration of a task varies, 0 to 1")
    seed: int = _option(0, "seed of everything random")
    speed: float = _option(1.0, "speed of the account's time; at 60 a second is a minute")
    manual_clock: bool = _option(False, "the account's time stands still until you advance it")

    units: str = _option("2.5", f"price of a task, a decimal number or '{BY_SCENE}'")
    price: tuple[str, ...] = _option((), "price of one scene, as scene=units")
    balance: float = _option(1_000_000.0, "units in the account's resource pack")
    pack: tuple[str, ...] = _option((), "a resource pack instead of that one: name=units or name=units:start:end (seconds)")
    cash: float = _option(0.0, "money on the account, which pays when the packs have run out")
    unit_price: float = _option(0.14, "what a unit costs in money")
    currency: str = _option("USD", "currency of the money")
    reserve_units: bool = _option(False, "refuse a create (1102) if tasks that still run will take what is left")
    balance_delay: float = _option(0.0, "seconds by which the remaining units in /account/costs are late; 43200 on a real account")
    billing_delay: float = _option(0.0, "seconds after which a charge shows in the billing endpoints")
    charge_failed: bool = _option(False, "failed tasks cost as much as others")
    free_failed_ids: bool = _option(False, "the external id of a failed task can be used again")
    strict_scenes: bool = _option(True, "refuse scenes that are unknown to this version or have ended, as the real account does")
    risky_scene: tuple[str, ...] = _option((), "a scene whose tasks fail in the risk control")
    risky_image: tuple[str, ...] = _option((), "an image whose tasks fail so: a part of its URL, or the start of its SHA-256")
    moderated_scene: tuple[str, ...] = _option((), "a scene that a create is refused for (1301)")
    moderated_image: tuple[str, ...] = _option((), "an image that a create is refused for, named as for risky_image")
    moderation_code: int = _option(1301, "the code of these refusals: 1300 or 1301")
    moderation_names_image: bool = _option(False, "the refusal says which image is meant")
    fetch_images: bool = _option(False, "load images that are given as URLs")

    list_order: str = _option("newest", "order of the list of tasks", choices=ORDERS)
    video_duration: bool = _option(True, "include the duration of a video in answers")
    videos: str = _option("made", "make videos from the input images, or always send the same clip", choices=VIDEOS)
    link_lifetime: float = _option(30 * 86400.0, "seconds after which a video is deleted")
    costs_interval: float = _option(1.0, "least seconds between two calls of /account/costs")
    billing_interval: float = _option(0.0, "least seconds between two calls of a billing endpoint")

    def __post_init__(self) -> None:
        for option in dataclasses.fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}; expected 0 to 1.")
        if not self.api_key and not self.access_key:
            raise ValueError("api_key and access_key are both empty; expected at least one credential.")
        if any(":" not in pair for pair in self.access_key):
            raise ValueError("access_key is not an access key and its secret key, as ak:sk.")
        if self.webhook_secret and not _is_secret(self.webhook_secret):
            raise ValueError("webhook_secret is not like whsec_<base64>.")
        if self.units != BY_SCENE and not _is_amount(self.units):
            raise ValueError(f"units is {self.units!r}; expected a decimal number or {BY_SCENE!r}.")
        if self.moderation_code not in (1300, 1301):
            raise ValueError(f"moderation_code is {self.moderation_code}; expected 1300 or 1301.")
        for text in self.pack:
            read_pack(text)
        for text in self.price:
            read_price(text)

    def price_of(self, title: str) -> str | None:
        """The price of a scene that has one of its own, as it was given."""
        return next((price for name, price in map(read_price, self.price) if name == title), None)

    @property
    def secrets(self) -> dict[str, str]:
        """The secret key of each access key."""
        return dict(pair.split(":", 1) for pair in self.access_key)

    def to_json(self) -> dict[str, Any]:
        """All settings but the secrets, as JSON."""
        hidden = {"api_key", "access_key", "webhook_secret"}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in hidden}


@dataclass(frozen=True, kw_only=True)
class PackOption:
    """A resource pack as the settings name it. Its times are seconds after the account's start."""

    name: str
    units: Decimal
    starts_in: float = 0.0
    expires_in: float = 365 * 86400.0


def read_pack(text: str) -> PackOption:
    """A pack from `name=units` or `name=units:start:end`. Raises ValueError for anything else."""
    name, _, rest = text.rpartition("=")
    parts = rest.split(":")
    try:
        if not name or len(parts) not in (1, 3) or not _is_amount(parts[0]) or Decimal(parts[0]) < 0:
            raise ValueError
        if len(parts) == 1:
            return PackOption(name=name, units=Decimal(parts[0]))
        starts_in, expires_in = float(parts[1]), float(parts[2])
        if not starts_in < expires_in < math.inf:
            raise ValueError
    except ValueError:
        raise ValueError(f"pack is {text!r}; expected name=units, or name=units:start:end in seconds.") from None
    return PackOption(name=name, units=Decimal(parts[0]), starts_in=starts_in, expires_in=expires_in)


def read_price(text: str) -> tuple[str, str]:
    """Scene and price from `scene=units`. Raises ValueError for anything else."""
    scene, _, units = text.rpartition("=")
    if not scene or not _is_amount(units) or Decimal(units) < 0:
        raise ValueError(f"price is {text!r}; expected scene=units.")
    return scene, units


def _checked(option: dataclasses.Field[Any], value: Any) -> Any:
    """The value in the option's type: JSON has no tuples, and does not tell 1 from 1.0. ValueError for another type."""
    default = option.default
    if isinstance(default, tuple):
        value = (value,) if isinstance(value, str) else tuple(value)
        valid = all(isinstance(part, str) and part for part in value)
    elif isinstance(default, float) and isinstance(value, int | float) and not isinstance(value, bool):
        value = float(value)
        valid = not math.isnan(value) and (value >= 0 or option.name == "skew")
    else:
        valid = type(value) is type(default) and (not isinstance(value, int) or value >= 0)
    if not valid:
        raise ValueError(f"{option.name} is {value!r}; expected something like {default!r}.")
    if option.metadata["choices"] and value not in option.metadata["choices"]:
        raise ValueError(f"{option.name} is {value!r}; expected one of {', '.join(option.metadata['choices'])}.")
    return value


def _is_amount(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _is_secret(text: str) -> bool:
    try:
        return bool(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        return False
