"""The fixture `hook`."""

from hook_calls import hook  # noqa: F401 - pytest finds it by its name
