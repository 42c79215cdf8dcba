"""Settings as flags of the command, and as environment variables."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_kling.emulator.model import Settings

ENV_PREFIX = "KLING_EMULATOR_"
TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off", "")


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings of a command line. A flag takes precedence over its environment variable; SystemExit for an invalid one."""
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
    """The flags that `parse` turns into these settings."""
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
        if text.lower() not in (*TRUE, *FALSE):
            raise ValueError(f"{ENV_PREFIX}{option.name.upper()} is {text!r}; expected true or false.")
        return text.lower() in TRUE
    if isinstance(default, tuple):
        return tuple(part for part in text.split(",") if part)
    try:
        return type(default)(text)
    except ValueError:
        raise ValueError(f"{ENV_PREFIX}{option.name.upper()} is {text!r}; expected a number.") from None
