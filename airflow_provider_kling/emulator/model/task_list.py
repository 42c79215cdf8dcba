"""The list of tasks, in each order that the settings offer."""

from __future__ import annotations

import random

from airflow_provider_kling.emulator.model.task import Record


class TaskList:
    """The tasks that the list of one product shows. A page costs the same however many tasks there are.

    `chance` decides the shuffled order.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._oldest_first: list[Record] = []
        self._shuffled: list[Record] = []

    def add(self, record: Record) -> None:
        """Add a task, the newest of the list."""
        self._oldest_first.append(record)
        # One step of the inside-out Fisher-Yates shuffle: swap the new task with a random one.
        self._shuffled.append(record)
        place = self._chance.randrange(len(self._shuffled))
        self._shuffled[-1], self._shuffled[place] = self._shuffled[place], self._shuffled[-1]

    def remove(self, record: Record) -> None:
        """Remove a task."""
        self._oldest_first.remove(record)
        self._shuffled.remove(record)

    def page(self, number: int, size: int, *, order: str) -> list[Record]:
        """Page `number`, from 1, of `size` tasks. `order` is newest, oldest or shuffled."""
        first = (number - 1) * size
        if order == "shuffled":
            return self._shuffled[first : first + size]
        if order == "oldest":
            return self._oldest_first[first : first + size]
        last = len(self._oldest_first) - first
        return self._oldest_first[max(0, last - size) : max(0, last)][::-1]
