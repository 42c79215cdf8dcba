"""Gives each triggerer on this machine a host name of its own, so that a test sees which one runs a trigger."""

import os


def own() -> str:
    return os.environ["KLING_STACK_NAME"]
