"""The price book as a value: what is learned, fixed and unknown, in whatever order it comes."""

from __future__ import annotations

import json
from decimal import Decimal

import pendulum
import pytest
from hypothesis import given, strategies as st

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.prices import Observation, PriceBook, observed
from airflow_provider_kling.prices.book import KEPT

NOW = pendulum.datetime(2026, 11, 26, 4)
SCENES = ["squish", "hug_pro", "let’s_ride"]

observations = st.lists(
    st.builds(
        Observation,
        st.sampled_from(SCENES),
        st.integers(0, 12).map(lambda number: Decimal(number) / 2),
        st.integers(-50, 50).map(lambda hours: NOW.add(hours=hours)),
    ),
    max_size=40,
)


def seen(scene: str, units: str, hours_ago: int = 1) -> Observation:
    return Observation(scene, Decimal(units), NOW.subtract(hours=hours_ago))


def learned(*found: Observation) -> PriceBook:
    return PriceBook().learn(found, now=NOW)


def test_a_price_is_what_the_newest_task_was_charged():
    book = learned(seen("squish", "2.5", 30), seen("squish", "4", 5), seen("squish", "2.5", 60))
    price = book.price("squish")
    assert (price.units, price.source, price.last_seen) == (4, "learned", NOW.subtract(hours=5))
    assert price.describe() == "4 units, last seen on 2026-11-25"
    assert [(each.units, each.last_seen) for each in book.learned["squish"]] == [
        (4, NOW.subtract(hours=5)),
        (Decimal("2.5"), NOW.subtract(hours=30)),
    ]


def test_an_unknown_price_stays_unknown_and_shows_the_range_of_the_known_ones():
    price = PriceBook().price("squish")
    assert (price.units, price.at_most, price.source) == (None, None, "unknown")
    assert price.describe() == "unknown; no price of any scene is known yet"
    book = learned(seen("hug_pro", "4"), seen("emoji", "1.5"), seen("emoji", "9", 100))
    price = book.price("squish")
    assert (price.units, price.low, price.high, price.at_most) == (None, Decimal("1.5"), 4, 4)
    assert price.describe() == "unknown; the known ones are 1.5 to 4 units"
    assert learned(seen("emoji", "3")).price("squish").describe() == "unknown; the known ones are 3 units"


def test_a_price_fixed_by_hand_wins_until_it_is_set_free():
    book = learned(seen("squish", "2.5")).fix("squish", Decimal(7)).learn([seen("squish", "3", 0)], now=NOW)
    assert (book.price("squish").units, book.price("squish").describe()) == (7, "7 units, fixed by hand")
    assert book.known_range() == (7, 7)
    assert book.fix("squish", None).price("squish").units == 3
    assert [price.scene for price in book.fix("emoji", Decimal(1)).prices()] == ["emoji", "squish"]
    for scene, units in (("", Decimal(1)), ("a\nb", Decimal(1)), ("squish", Decimal(-1)), ("squish", Decimal("NaN"))):
        with pytest.raises(KlingInputError):
            book.fix(scene, units)


def test_of_two_prices_at_one_moment_the_higher_one_counts():
    assert learned(seen("squish", "2"), seen("squish", "3")).price("squish").units == 3


def test_a_wrong_clock_does_not_make_its_price_the_newest_for_ever():
    book = learned(Observation("squish", Decimal(9), NOW.add(years=70))).learn([seen("squish", "2", -1)], now=NOW.add(hours=1))
    assert book.price("squish").units == 2


@given(observations, st.randoms())
def test_neither_order_nor_repetition_nor_division_matters(found, chance):
    """Several runs learn the same and different things, each in its own order: the book is the same."""
    book = learned(*found)
    other, rest = PriceBook(), [*found, *found]
    chance.shuffle(rest)
    while rest:
        size = chance.randint(1, len(rest))
        other, rest = other.learn(rest[:size], now=NOW), rest[size:]
    assert other == book
    assert book.learn(found, now=NOW) == book
    assert all(len(prices) <= KEPT for prices in book.learned.values())
    for scene in {scene for scene, *_ in found}:
        newest = max((min(at, NOW), units) for name, units, at in found if name == scene)
        assert (book.price(scene).last_seen, book.price(scene).units) == newest


@given(observations, st.dictionaries(st.sampled_from(SCENES), st.decimals(0, 1000, places=3)))
def test_the_file_holds_the_whole_book(found, fixed):
    book = PriceBook(fixed=fixed, other={"comment": "mine"}).learn(found, now=NOW)
    assert PriceBook.from_text(book.to_text()) == book
    assert "let\\u2019s" not in book.to_text()


def test_a_file_that_was_edited_by_hand_is_read():
    book = PriceBook.from_text('{"comment": "from the contract", "fixed": {"hug_pro": 4, "squish": "2.50", "emoji": 0.1}}')
    assert [price.units for price in book.prices()] == [Decimal("0.1"), 4, Decimal("2.50")]
    assert json.loads(book.learn([seen("nezha", "3")], now=NOW).to_text())["comment"] == "from the contract"
    assert PriceBook.from_text("") == PriceBook.from_text(b" \n") == PriceBook()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        ("[]", "no JSON object"),
        ('{"version": 2}', "its version is 2"),
        ('{"fixed": []}', "'fixed' is no object"),
        ('{"fixed": {"squish": "dear"}}', "'squish' is 'dear'; wanted is a number"),
        ('{"fixed": {"squish": -1}}', "wanted is a number"),
        ('{"fixed": {"squish": true}}', "wanted is a number"),
        ('{"fixed": {"squish": NaN}}', "wanted is a number"),
        ('{"fixed": {"squish": 1e999}}', "wanted is a number"),
        ('{"learned": {"squish": 4}}', "no list of objects"),
        ('{"learned": {"squish": [{"units": "4"}]}}', "seen at 'None'"),
        ('{"learned": {"squish": [{"units": "4", "last_seen": "P1D"}]}}', "seen at 'P1D'"),
    ],
)
def test_a_file_that_is_no_price_book_says_what_is_wrong(text, why):
    with pytest.raises(KlingInputError, match=why):
        PriceBook.from_text(text)


@given(st.text())
def test_any_text_is_a_book_or_one_error(text):
    try:
        PriceBook.from_text(text)
    except KlingInputError as error:
        message = str(error)
        assert len(message) < 300


RESULT = {"status": "succeed", "effect_scene": "squish", "units": "2.5", "updated_at": "2026-11-26T03:00:00Z"}


def test_a_result_tells_a_price():
    assert observed(RESULT) == seen("squish", "2.5")


@pytest.mark.parametrize(
    "other",
    [
        {"status": "failed", "units": "0"},
        {"status": "error"},
        {"effect_scene": None},
        {"effect_scene": "a\x00"},
        {"units": None},
        {"units": "many"},
        {"units": "-1"},
        {"updated_at": None},
        {"updated_at": "yesterday"},
        {"updated_at": 7},
    ],
)
def test_a_result_that_tells_none_is_left_out(other):
    assert observed({**RESULT, **other}) is None
