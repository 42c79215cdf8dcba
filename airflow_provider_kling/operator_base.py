"""What operators and sensors share: values from outside the DAG file are data, which Airflow never renders.

May import `errors` and Airflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, XComArg

from airflow_provider_kling.errors import KlingInputError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

ROW_KEYS = ("row_id", "effect_scene", "image", "images")  # of what `mapping.read_manifest` returns


class KlingOperator(BaseOperator):
    """A base class that keeps data from being rendered as templates.

    Airflow renders what `expand_kwargs` gets from an XCom, and lists that an operator has copied. Here a template field that
    a mapped task instance gets from an XCom is left as it is. So are the fields of `row`, the row of a manifest, which
    `use_row` sets; a subclass names those that it has in `row_fields`.
    """

    row_fields: Iterable[str] = ()
    row: Any = None
    _row_used = False

    def take_row(self, row: Any) -> None:
        """Keep the argument `row`: a dict, or what Airflow resolves to one at run time. It is no template field.

        Raises KlingInputError if one of the row's fields is given as well.
        """
        self.row = row
        given = [name for name in self.row_fields if getattr(self, name, None) is not None]
        if row is not None and given:
            raise KlingInputError(f"{given[0]} and row are both given; wanted is row alone, which holds {given[0]}.")
        XComArg.apply_upstream_relationship(self, row)

    def use_row(self, context: Context) -> None:
        """Set the row's fields. Raises AirflowFailException for a row that is none."""
        if self.row is None or self._row_used:
            return
        if hasattr(self.row, "resolve"):
            self.row = self.row.resolve(context)
        row = self.row
        if not _is_row(row):
            found = f"a dict with {', '.join(map(repr, row))}"[:200] if isinstance(row, Mapping) else f"a {type(row).__name__}"
            wanted = "wanted is a row that read_manifest returned: row_id and effect_scene, and image or images"
            raise AirflowFailException(f"row is {found}; {wanted}.")
        for name in self.row_fields:
            setattr(self, name, row.get(name))
        self._row_used = True

    def render_template(
        self, content: Any, context: Context, jinja_env: Environment | None = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render a template field of the DAG file; return one from outside as it is. Airflow calls this for each field."""
        self.use_row(context)
        seen_oids = set() if seen_oids is None else seen_oids
        # Airflow returns what it has "seen" as it is: that is how it keeps what `expand` gets from an XCom.
        seen_oids.update(id(getattr(self, name)) for name in self._fields_from_outside(context))
        return super().render_template(content, context, jinja_env, seen_oids)

    def _fields_from_outside(self, context: Context) -> set[str]:
        """The template fields whose values come from the row, or from an XCom that this task is mapped over."""
        fields = set(self.row_fields) if self._row_used else set()
        dag = self.get_dag()
        mapped = dag.task_dict.get(self.task_id) if dag else None
        if mapped is not None and mapped is not self and hasattr(mapped, "partial_kwargs"):
            written = mapped.partial_kwargs.keys() | _written_keys(getattr(mapped, "expand_input", None), context["ti"].map_index)
            fields |= {name for name in self.template_fields if name not in written}
        return fields


def _is_row(row: Any) -> bool:
    """Whether it has the shape of what `mapping.read_manifest` returns for each row."""
    if not isinstance(row, Mapping) or not row.keys() <= set(ROW_KEYS):
        return False
    return all(isinstance(row.get(name), str) and row[name] for name in ("row_id", "effect_scene"))


def _written_keys(expand_input: Any, map_index: int | None) -> set[str]:
    """The mapped arguments that stand in the DAG file itself, so that templates in them are its author's."""
    value = getattr(expand_input, "value", None)
    if isinstance(value, Mapping):  # expand(name=…)
        return {name for name, values in value.items() if not hasattr(values, "resolve")}
    if isinstance(value, list | tuple) and map_index is not None and 0 <= map_index < len(value):  # expand_kwargs([…])
        return set(value[map_index]) if isinstance(value[map_index], Mapping) else set()
    return set()
