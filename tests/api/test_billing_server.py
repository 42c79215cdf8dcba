"""The server's half of the billing endpoints reads any body, and refuses what the API does not take."""

from __future__ import annotations

import contextlib
import json

import pendulum
from hypothesis import given, strategies as st

from airflow_provider_kling.api import PAID_WITH, ChargeQuery, ReceivedChargeQuery, Refusal, charges_call, read_charge_query
from airflow_provider_kling.api.charges import FILTERS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
KEYS = ("cursor", "start_time", "end_time", "limit", "filters")


@given(
    st.sampled_from(PAID_WITH),
    st.one_of(st.binary(), st.dictionaries(st.sampled_from(KEYS), JSON).map(lambda body: json.dumps(body).encode())),
)
def test_any_body_is_a_query_or_a_refusal(paid_with, body):
    with contextlib.suppress(Refusal):
        query = read_charge_query(paid_with, body)
        assert query.cursor or (0 <= query.start_time < query.end_time and 1 <= query.limit <= 500)


@given(
    st.sampled_from(PAID_WITH),
    st.integers(0, 10**9),
    st.integers(1, 10**9),
    st.integers(1, 500),
    st.data(),
)
def test_what_the_client_asks_the_server_reads(paid_with, start, length, limit, data):
    names = st.sets(st.sampled_from(FILTERS[paid_with])).filter(lambda names: not {"package_name", "package_id"} <= names)
    values = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3)
    filters = {name: data.draw(values) for name in sorted(data.draw(names))}
    times = {"start": pendulum.from_timestamp(start), "end": pendulum.from_timestamp(start + length)}
    call = charges_call(ChargeQuery(paid_with=paid_with, limit=limit, filters=filters, **times))
    assert read_charge_query(paid_with, json.dumps(call.body).encode()) == ReceivedChargeQuery(
        start_time=start * 1000,
        end_time=(start + length) * 1000,
        limit=limit,
        filters={name: tuple(given_values) for name, given_values in filters.items()},
    )
    assert call.safe
    later = charges_call(ChargeQuery(paid_with=paid_with, limit=limit, filters=filters, **times), "next")
    assert read_charge_query(paid_with, json.dumps(later.body).encode()) == ReceivedChargeQuery(cursor="next")
