"""How an emulator is set up: one dataclass, from which the command's flags and environment variables are made."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

ENV_PREFIX = "KLING_EMULATOR_"
DEFAULT_API_KEY = "emulator-api-key"
DEFAULT_ACCESS_KEY = "emulator-access-key:emulator-secret-key-of-32-characters"
BY_SCENE = "by-scene"

ORDERS = ("newest", "oldest", "shuffled")
VIDEOS = ("made", "clip")


def _flag(default: Any, text: str, *, choices: Sequence[str] = ()) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All options of an emulator. ValueError for one that cannot be."""

    host: str = _flag("127.0.0.1", "address to listen on")
    port: int = _flag(8900, "port to listen on; 0 takes any free one")
    public_url: str = _flag("", "base of the links to videos; otherwise the host that a request was sent to")
    log: bool = _flag(False, "print one line for every request")
    api_key: tuple[str, ...] = _flag((DEFAULT_API_KEY,), "an accepted API key")
    access_key: tuple[str, ...] = _flag((DEFAULT_ACCESS_KEY,), "an accepted access key and its secret key, as ak:sk")
    webhook_secret: str = _flag("", "sign callbacks with this secret (whsec_…)")
    skew: float = _flag(0.0, "seconds by which the server's clock runs ahead when it judges tokens")

    slots: int = _flag(5, "how many tasks run at once")
    duration: float = _flag(10.0, "seconds that a task takes")
    jitter: float = _flag(0.0, "fraction by which the seconds of a task vary, 0 to 1")
    seed: int = _flag(0, "seed of all that is random")
    speed: float = _flag(1.0, "how fast the account's time runs; 60 makes a minute of a second")
    manual_clock: bool = _flag(False, "the account's time stands still until it is moved by hand")

    units: str = _flag("2.5", f"price of a task, a decimal number or '{BY_SCENE}'")
    balance: float = _flag(1_000_000.0, "units in the account's resource pack")
    charge_failed: bool = _flag(False, "failed tasks cost as much as others")
    free_failed_ids: bool = _flag(False, "the external id of a failed task may be used again")
    strict_scenes: bool = _flag(False, "refuse scenes that this version does not know")
    risky_scene: tuple[str, ...] = _flag((), "a scene whose tasks fail in the risk control")
    fetch_images: bool = _flag(False, "load the images that are given as URLs")

    list_order: str = _flag("newest", "order of the list of tasks", choices=ORDERS)
    video_duration: bool = _flag(True, "tell the duration of a video")
    videos: str = _flag("made", "make videos from the input images, or always send the same clip", choices=VIDEOS)
    link_lifetime: float = _flag(30 * 86400.0, "seconds after which a video is deleted")
    costs_interval: float = _flag(1.0, "seconds that have to lie between two calls of /account/costs")

    def __post_init__(self) -> None:
        for option in dataclasses.fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}; wanted is 0 to 1.")
        if not self.api_key and not self.access_key:
            raise ValueError("api_key and access_key are both empty; wanted is at least one credential.")
        if any(":" not in pair for pair in self.access_key):
            raise ValueError("access_key wants access key and secret key in one, as ak:sk.")
        if self.webhook_secret and not _is_secret(self.webhook_secret):
            raise ValueError("webhook_secret is not like whsec_<base64>.")
        if self.units != BY_SCENE and not _is_amount(self.units):
            raise ValueError(f"units is {self.units!r}; wanted is a decimal number or {BY_SCENE!r}.")

    @property
    def secrets(self) -> dict[str, str]:
        """The secret key of each access key."""
        return dict(pair.split(":", 1) for pair in self.access_key)

    def shown(self) -> dict[str, Any]:
        """All options without the secret ones, as JSON takes them."""
        hidden = {"api_key", "access_key", "webhook_secret"}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in hidden}


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings of a command line. A flag goes before its environment variable; a wrong one ends the program."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kling.emulator",
        description="A Kling account on your own machine, for the API of video effects.",
        epilog=f"Every flag is also an environment variable: {ENV_PREFIX}PORT=8900. Lists are separated by commas there.",
    )
    for option in dataclasses.fields(Settings):
        _add_flag(parser, option)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        for option in dataclasses.fields(Settings):
            text = environ.get(ENV_PREFIX + option.name.upper())
            if text is not None and option.name not in given:
                given[option.name] = _from_text(option, text)
        return Settings(**given)
    except ValueError as error:
        parser.error(str(error))


def to_arguments(settings: Settings) -> list[str]:
    """The flags that make these settings."""
    arguments = []
    for option in dataclasses.fields(Settings):
        value, flag = getattr(settings, option.name), f"--{option.name.replace('_', '-')}"
        if value == option.default:
            continue
        if isinstance(value, bool):
            arguments.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, tuple):
            arguments.append(f"{flag}={','.join(value)}")
        else:
            arguments.append(f"{flag}={value}")
    return arguments


def _add_flag(parser: argparse.ArgumentParser, option: dataclasses.Field[Any]) -> None:
    flag, default = f"--{option.name.replace('_', '-')}", option.default
    text = str(option.metadata["help"])
    if isinstance(default, bool):
        parser.add_argument(flag, dest=option.name, action=argparse.BooleanOptionalAction, help=text)
    elif isinstance(default, tuple):
        text = f"{text}; may be repeated"
        parser.add_argument(flag, dest=option.name, action="extend", type=lambda value: value.split(","), help=text)
    else:
        text = f"{text} (default: {default})" if default != "" else text
        choices = option.metadata["choices"] or None
        parser.add_argument(flag, dest=option.name, type=type(default), choices=choices, help=text)


def _from_text(option: dataclasses.Field[Any], text: str) -> Any:
    default: Any = option.default
    if isinstance(default, bool):
        if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
            raise ValueError(f"{ENV_PREFIX}{option.name.upper()} is {text!r}; wanted is true or false.")
        return text.lower() in ("1", "true", "yes", "on")
    if isinstance(default, tuple):
        return tuple(part for part in text.split(",") if part)
    try:
        return type(default)(text)
    except ValueError:
        raise ValueError(f"{ENV_PREFIX}{option.name.upper()} is {text!r}; wanted is a number.") from None


def _checked(option: dataclasses.Field[Any], value: Any) -> Any:
    """The value in the option's own type; JSON knows neither tuples nor the difference between 1 and 1.0."""
    default = option.default
    if isinstance(default, tuple):
        value = (value,) if isinstance(value, str) else tuple(value)
        good = all(isinstance(part, str) and part for part in value)
    elif isinstance(default, float) and isinstance(value, int | float) and not isinstance(value, bool):
        value = float(value)
        good = not math.isnan(value) and (value >= 0 or option.name == "skew")
    else:
        good = type(value) is type(default) and (not isinstance(value, int) or value >= 0)
    if not good:
        raise ValueError(f"{option.name} is {value!r}; wanted is something like {default!r}.")
    if option.metadata["choices"] and value not in option.metadata["choices"]:
        raise ValueError(f"{option.name} is {value!r}; wanted is one of {', '.join(option.metadata['choices'])}.")
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
