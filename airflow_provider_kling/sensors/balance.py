"""KlingBalanceSensor: waits until the account's resource packs hold enough units."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_kling.arguments import check_text, is_blank, is_known
from airflow_provider_kling.client import seconds
from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingInputError, KlingTimeoutError
from airflow_provider_kling.operator_base import DEFAULT_TIMEOUT, KlingOperator
from airflow_provider_kling.outcomes import task_of
from airflow_provider_kling.retry_policy import use_default_policy
from airflow_provider_kling.sensors.skipping import skipping

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Balance
    from airflow_provider_kling.arguments import Later

MOST_DIGITS = 30
DEFER_GRACE = 300.0  # seconds past the deadline, after which Airflow fails the task if no triggerer runs


class KlingBalanceSensor(KlingOperator, BaseSensorOperator):
    """Waits until the resource packs of an account hold at least so many units. Its XCom says what they hold (see the docs).

    Kling's number is up to 12 hours late: units that were bought may show later, and units that tasks have taken may still be
    in it. So it tells that a run can begin, not that it will be paid to its end.

    :param units: how many units the packs must hold: a number, a text like "12.5", or a plan (the output of a task that returned
        `plan_manifest(…)`), for the most that its videos may cost. Templated.
    :param kling_conn_id: the connection of the account. Templated.
    :param pack_name: count only packs of this name. Default: all that are online. Templated.
    :param wait: False: fail at once, without a retry, if the packs hold less. Default: wait for them.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's `[operators] default_deferrable`.
    :param timeout: seconds, or a timedelta, for the whole wait. Default: 24 hours.

    `mode`, `poke_interval` (default 10 minutes), `soft_fail`, `never_fail` and the others work as for every sensor. The sensor
    waits out faults of the API that may pass; refused credentials fail it at once.
    """

    template_fields: Sequence[str] = ("units", "kling_conn_id", "pack_name")
    ui_color = "#d9f2e6"
    ui_fgcolor = "#0b3d2e"

    def __init__(
        self,
        *,
        units: float | str | Decimal | Later,
        kling_conn_id: str | Later = "kling_default",
        pack_name: str | Later | None = None,
        wait: bool = True,
        poke_interval: float | timedelta = 600.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        use_default_policy(self)
        self.units: Any = str(units) if isinstance(units, Decimal) else units
        self.kling_conn_id: Any = kling_conn_id
        self.pack_name: Any = pack_name
        self.wait = wait
        self.deferrable = deferrable
        self._rendered = self.unknown_fields()
        if not self.is_unmapped:  # then the values are checked when the sensor runs
            if is_known(units):
                read_units(self.units)
            seconds(self.poke_interval, "poke_interval")

    def execute(self, context: Context) -> Any:
        with skipping(self):
            if not self.deferrable:
                return super().execute(context)
            poked = self.poke(context)
            if isinstance(poked, PokeReturnValue):
                return poked.xcom_value
            return self._defer()

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Read the packs once. A fault of the API that may pass counts as "not yet"."""
        from airflow_provider_kling.hooks import KlingHook

        with skipping(self), _failing():
            wanted = self._check()
            try:
                with KlingHook(self.kling_conn_id) as hook:
                    balance = hook.get_balance(self.pack_name)
            except KlingError as error:
                if not error.retryable:
                    raise
                self.log.warning("Connection %s: Kling cannot be asked at the moment: %s Asking again.", self.kling_conn_id, error)
                return False
            self.log.info("Connection %s: %s Wanted: %s.", self.kling_conn_id, balance.describe(), format(wanted, "f"))
            if balance.units >= wanted:
                return PokeReturnValue(is_done=True, xcom_value=balance.to_json())
            if not self.wait:
                raise AirflowFailException(_too_few(balance, wanted, self.kling_conn_id))
            return False

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Called after the trigger has fired."""
        with skipping(self), _failing():
            match event:
                case {"balance": {"units": str(), **_facts} as balance}:
                    return dict(balance)
            task_of(event)
            raise KlingAnswerError("The trigger ended with the event of another trigger.")

    def _defer(self) -> NoReturn:
        from airflow_provider_kling.triggers import (
            HOLD_BACK,
            VERSION,
            KlingBalanceTrigger,
            bounded,
            check_connections,
            defer_with,
            waiting_for,
        )

        with _failing():
            wanted = self._check()
            check_connections(self.kling_conn_id)
            deadline, _ = bounded(self, time.time() + seconds(self.timeout, "timeout"))
            remaining = max(0.0, deadline - time.time())
            self.log.info("%s", waiting_for(wanted, remaining))
            trigger = KlingBalanceTrigger(
                kling_conn_id=self.kling_conn_id,
                units=format(wanted, "f"),
                pack_name=self.pack_name,
                deadline=deadline,
                poll_interval=seconds(self.poke_interval, "poke_interval"),
                not_before=time.time() + HOLD_BACK,
                version=VERSION,
            )
        defer_with(self, trigger, deadline=deadline)

    def _check(self) -> Decimal:
        """The units that are wanted. Raises KlingInputError for an argument that cannot work."""
        for name in ("kling_conn_id", "pack_name"):
            value, rendered = getattr(self, name), name in self._rendered
            if name == "pack_name" and is_blank(value, rendered=rendered):
                self.pack_name = None
            else:
                check_text(name, value, wanted="a text", operator=type(self).__name__, rendered=rendered)
        return read_units(self.units)


def read_units(given: Any) -> Decimal:
    """A number of units, or the most that a plan may cost. Raises KlingInputError for anything else."""
    if isinstance(given, Mapping) and isinstance(given.get("cost"), Mapping):
        given = given["cost"].get("at_most")
        if given is None:
            raise KlingInputError(
                "units is a plan whose cost is not known, since no price of any scene is; wanted is a number, or a price that is "
                "set by hand (prices.fix_price)."
            )
    try:
        if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal) or len(str(given)) > MOST_DIGITS:
            raise InvalidOperation
        units = Decimal(str(given).strip())
        if not units.is_finite() or units < 0 or abs(units.adjusted()) > MOST_DIGITS:
            raise InvalidOperation
    except InvalidOperation:
        raise KlingInputError(
            f"units is {str(given)[:60]!r}; wanted is how many units the packs must hold, like 250, or a plan."
        ) from None
    return units


def _too_few(balance: Balance, wanted: Decimal, conn_id: str) -> str:
    return f"Connection {conn_id}: {format(wanted, 'f')} units are wanted; found {balance.describe()}"


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Raise an error that no retry mends as AirflowFailException, and a time-out as AirflowSensorTimeout."""
    try:
        yield
    except KlingTimeoutError as error:
        raise AirflowSensorTimeout(str(error)) from error
    except KlingError as error:
        if error.may_pass:
            raise
        raise AirflowFailException(str(error)) from error
