"""Ranges and conditions of a request, as RFC 9110 has them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from airflow_provider_kling.plugin.ranges import Part, http_date, part_of

TIME = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=timezone.utc)


def part(size=100, **headers):
    return part_of({name.replace("_", "-"): value for name, value in headers.items()}, size=size, etag='"e"', modified=TIME)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Part(200, 0, 100)),
        ("bytes=0-", Part(206, 0, 100)),
        ("bytes=0-0", Part(206, 0, 1)),
        ("bytes=99-", Part(206, 99, 1)),
        ("bytes=10-1000", Part(206, 10, 90)),
        ("bytes=-10", Part(206, 90, 10)),
        ("bytes=-1000", Part(206, 0, 100)),
        ("bytes=-0", Part(416, 0, 0)),
        ("bytes=100-", Part(416, 0, 0)),
        ("bytes=5-4", Part(200, 0, 100)),
        ("bytes=-", Part(200, 0, 100)),
        ("bytes=0-1,3-4", Part(200, 0, 100)),
        ("items=0-1", Part(200, 0, 100)),
        ("bytes=" + "9" * 5000 + "-", Part(416, 0, 0)),
    ],
)
def test_a_range(header, expected):
    assert part(range=header) == expected


def test_an_empty_file_has_no_range():
    assert part(size=0, range="bytes=0-") == Part(416, 0, 0)
    assert part(size=0) == Part(200, 0, 0)


def test_conditions():
    assert part(if_none_match='"x", W/"e"').status == 304
    assert part(if_none_match='"x"', if_modified_since=http_date(TIME)).status == 200
    assert part(if_modified_since=http_date(TIME)).status == 304
    assert part(if_modified_since=http_date(TIME - timedelta(seconds=1))).status == 200
    assert part(range="bytes=0-1", if_range='"e"').status == 206
    assert part(range="bytes=0-1", if_range='"x"').status == 200
    assert part(range="bytes=0-1", if_range=http_date(TIME)).status == 206
    assert part(range="bytes=0-1", if_range=http_date(TIME + timedelta(days=1))).status == 200
    assert part(range="bytes=0-1", if_range="nonsense").status == 200


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 1000))
def test_no_range_leads_out_of_the_file(header, size):
    found = part(size=size, range=header)
    assert 0 <= found.start <= size
    assert found.start + found.length <= size
