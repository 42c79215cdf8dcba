"""What operators and sensors share: values from outside the DAG file are data, which Airflow never renders.

May import `errors`, `arguments`, `links` and Airflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, XComArg

from airflow_provider_kling.arguments import is_known, places_text
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.links import OWN_LINKS

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

DEFAULT_TIMEOUT = timedelta(hours=24)  # of operators and sensor alike
ROW_KEYS = ("row_id", "effect_scene", "image", "images")  # of what `mapping.read_manifest` returns


class KlingOperator(BaseOperator):
    """A base class that keeps data from being rendered as templates.

    Airflow renders what `expand_kwargs` gets from an XCom, and lists that an operator has copied. Here a template field that
    a mapped task instance gets from an XCom is left as it is. So are the fields of `row`, the row of a manifest, which
    `use_row` sets; a subclass names those that it has in `row_fields`. The fields in `place_fields` hold paths or URIs, which
    may be given as `os.PathLike` or ObjectStoragePath.
    """

    row_fields: Iterable[str] = ()
    place_fields: Iterable[str] = ()
    row: Any = None
    end_from_trigger = False
    end_if_possible = False
    _row_used = False

    def take_end_from_trigger(self, end_from_trigger: bool | Literal["auto"], *, deferrable: bool) -> None:
        """Keep the argument `end_from_trigger`. Raises KlingInputError for another value, and for True without `deferrable`.

        Airflow refuses a DAG with a true attribute of that name where a plugin has listeners. So "auto" is kept elsewhere.
        """
        if not isinstance(end_from_trigger, bool) and end_from_trigger != "auto":
            raise KlingInputError(f"end_from_trigger is {end_from_trigger!r}; wanted is True, False or 'auto'.")
        if end_from_trigger is True and not deferrable:
            raise KlingInputError("end_from_trigger=True needs deferrable=True: without it, no triggerer takes part.")
        self.end_from_trigger = end_from_trigger is True
        self.end_if_possible = end_from_trigger == "auto"

    @property
    def is_unmapped(self) -> bool:
        """Whether this is one instance of a mapped task, whose arguments are checked when it runs."""
        return bool(getattr(self, "_BaseOperator__from_mapped", False))

    def show_links(self, shown: bool) -> None:
        """Whether this package's extra links lead anywhere yet: Airflow stores those that it finds when a task leaves a worker."""
        links = type(self).operator_extra_links
        self.operator_extra_links = links if shown else [link for link in links if not isinstance(link, OWN_LINKS)]

    def take_places(self) -> None:
        """Make texts of the paths. Those in an XCom come with rendering, and mapped tasks are rendered past any method."""
        for name in self.place_fields:
            if (value := getattr(self, name)) is not (text := places_text(value)):
                setattr(self, name, text)

    def unknown_fields(self) -> frozenset[str]:
        """The template fields whose values are not known when the DAG is parsed, or come from what a task is mapped over."""
        given = ((name, getattr(self, name)) for name in self.template_fields)
        return frozenset(name for name, value in given if value is not None and (self.is_unmapped or not is_known(value)))

    def take_row(self, row: Any) -> None:
        """Keep the argument `row`: a dict, or what Airflow resolves to one at run time. It is no template field.

        Raises KlingInputError if one of the row's fields is given as well.
        """
        self.take_places()
        self.row = row
        given = [name for name in self.row_fields if getattr(self, name, None) is not None]
        if row is not None and given:
            raise KlingInputError(f"{given[0]} and row are both given; wanted is row alone, which holds {given[0]}.")
        XComArg.apply_upstream_relationship(self, row)

    def use_row(self, context: Context) -> None:
        """Set the row's fields. Raises AirflowFailException for a row that is none."""
        self.take_places()
        self.show_links(bool(getattr(self, "video_url", "")))
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
            written = mapped.partial_kwargs.keys() | written_keys(getattr(mapped, "expand_input", None), context["ti"].map_index)
            fields |= {name for name in self.template_fields if name not in written}
        return fields


def _is_row(row: Any) -> bool:
    """Whether it has the shape of what `mapping.read_manifest` returns for each row."""
    if not isinstance(row, Mapping) or not row.keys() <= {*ROW_KEYS, "columns"}:
        return False
    if not isinstance(row.get("columns", {}), Mapping):
        return False
    return all(isinstance(row.get(name), str) and row[name] for name in ("row_id", "effect_scene"))


def written_keys(expand_input: Any, map_index: int | None) -> set[str]:
    """The mapped arguments that stand in the DAG file itself, so that templates in them are its author's."""
    value = getattr(expand_input, "value", None)
    if isinstance(value, Mapping):  # expand(name=…)
        return {name for name, values in value.items() if not hasattr(values, "resolve")}
    if isinstance(value, list | tuple) and map_index is not None and 0 <= map_index < len(value):  # expand_kwargs([…])
        return set(value[map_index]) if isinstance(value[map_index], Mapping) else set()
    return set()
