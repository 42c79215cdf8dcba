"""Whether the names of a manifest's videos are unique, asked before anything is paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.errors import KlingManifestError
from airflow_provider_kling.naming.safe_names import same_name_key
from airflow_provider_kling.naming.save_as import SaveAs
from airflow_provider_kling.naming.templates import FIELDS, MOST_LISTED, check_fields, columns_of
from airflow_provider_kling.values import replace

MOST_PROBLEMS = 50  # rows that an error names

_UNIQUE = {"kling_task_id", "external_task_id"}  # no two rows have the same


class NameCheck:
    """Looks at one row after the other. Remembers names as 64-bit hashes, so 100,000 rows need a few megabytes."""

    def __init__(self, save_as: SaveAs) -> None:
        self._save_as = save_as
        self._missing = set(columns_of(save_as.file_name))
        self._columns: dict[str, None] = {}
        self._may_collide = save_as.file_name is not None and not save_as.template.fields & _UNIQUE
        self._lines: dict[int, int] = {}  # hash of a name → the line of its row
        self._problems: list[str] = []
        self._count = 0

    @property
    def shadowed(self) -> list[str]:
        """The fields of the template that are the run's or the task's although the manifest has columns of these names."""
        named = self._save_as.template.fields if self._save_as.file_name else frozenset()
        return [name for name in FIELDS if name in named and name in self._columns and name != "effect_scene"]

    def see(self, *, place: str, line: int, row_id: str, effect_scene: str, columns: Mapping[str, Any]) -> None:
        """Look at a row; `place` is how errors name it."""
        if self._save_as.file_name is None:
            return
        self._missing.difference_update(columns)
        if len(self._columns) < 10 * MOST_LISTED:
            self._columns.update(dict.fromkeys(columns))
        if not self._may_collide:
            return
        further = {name: value for name, value in columns.items() if name not in FIELDS}
        fields = {**further, **self._save_as.fields, "row_id": row_id, "effect_scene": effect_scene}
        name = replace(self._save_as, fields=fields).name_of_row()
        first = self._lines.setdefault(hash(same_name_key(name)), line)
        if first != line:
            self._count += 1
            if len(self._problems) < MOST_PROBLEMS:
                self._problems.append(f"{place}: its video would have the name of that of line {first}, {name!r}.")

    def check(self, manifest: str) -> None:
        """Raise an error if the template names a column that no row has, or gives two rows the same name.

        KlingInputError for the one, KlingManifestError, which names the rows, for the other.
        """
        if self._missing and self._save_as.file_name is not None:
            check_fields(self._save_as.file_name, columns=self._columns)
        if self._problems:
            more = f" And {self._count - len(self._problems):,} more." if self._count > len(self._problems) else ""
            advice = (
                f"{more} file_name {self._save_as.file_name!r} does not tell all rows apart; {{row_id}} or {{kling_task_id}} in it "
                "does. Names that differ in small and capital letters alone, or in characters that become '_', are the same."
            )
            raise KlingManifestError(manifest, [*self._problems[:-1], self._problems[-1] + advice])
