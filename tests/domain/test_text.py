"""What strangers wrote comes out short and reads as it is; numbers keep the digits that matter."""

import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.text import (
    change,
    cleaned,
    cleaned_name,
    cost,
    counted,
    dollars,
    duration,
    escaped,
    exact_duration,
    minute,
    number,
    percent,
    share,
    shortened,
    significant,
    two_numbers,
)

WICKED = "U\u202eS\u200bD\u2066C\x00\x1b[31m\ufeff\u00ad\u3164\u115f\U000e0041 coin\u2069"


@pytest.mark.parametrize("clean", [cleaned, cleaned_name])
def test_control_bidirectional_and_invisible_characters_are_gone(clean: object) -> None:
    assert clean(WICKED, 30) == "USDC[31m coin"  # type: ignore[operator]


def test_marks_that_choose_a_form_and_could_carry_a_hidden_text_are_gone() -> None:
    hidden = "".join(chr(0xE0100 + byte) for byte in b"BUY NOW")
    assert cleaned(f"US{hidden}D\u180b\u180c\u180d\u180e\u180fC\ufe00\ufe0f", 400) == "USDC"


def test_accents_do_not_pile_up() -> None:
    assert len(cleaned("a" + "\u0301" * 500, 400)) <= 3
    assert len(cleaned_name("a" + "\u0301" * 500, 400)) <= 3
    assert len(cleaned("a" + "\u0301\u0301\u200b" * 500, 400)) <= 3


def test_look_alike_forms_in_a_name_become_what_they_look_like_and_a_text_keeps_its_own() -> None:
    assert cleaned_name("\uff35\uff33\uff24\uff34", 16) == "USDT"
    assert cleaned("10\u00b2 \u00bd \u2026", 16) == "10\u00b2 \u00bd \u2026"


def test_lines_are_folded_or_kept() -> None:
    text = " first\tline \r\n\n  second\u2028third\x0bfourth\u00a0end"
    assert cleaned(text, 100) == "first line second third fourth end"
    assert cleaned(text, 100, lines=True) == " first line \n\n  second third fourth end"


def test_an_address_is_left_out_where_asked_also_one_that_hides() -> None:
    text = "see https://evil.example/x?y and f\u200btp://a"
    assert cleaned(text, 100, addresses=False) == "see [address] and [address]"
    assert "evil.example" in cleaned(text, 100)


def test_a_text_that_is_cut_says_so() -> None:
    assert cleaned("abcdef", 6) == "abcdef"
    assert cleaned("abcdefg", 6) == "abcde\u2026"
    assert cleaned("ab" + "\u200b" * 10_000 + "c", 6) == "ab\u2026"
    assert shortened("abcd efg", 6) == "abcd\u2026"


@given(st.text(max_size=300), st.integers(1, 40), st.booleans())
def test_it_is_never_longer_than_allowed_and_all_of_it_can_be_seen(text: str, limit: int, lines: bool) -> None:
    for shown in (cleaned(text, limit, lines=lines), cleaned_name(text, limit)):
        assert len(shown) <= limit
        assert all(unicodedata.category(character)[0] != "C" for character in shown.replace("\n", ""))
    assert "\n" not in cleaned(text, limit)
    assert cleaned(text, limit) == cleaned(text, limit).strip()


@given(st.text(max_size=80))
def test_to_clean_twice_changes_nothing_more(text: str) -> None:
    once = cleaned(text, 100)
    assert cleaned(once, 100) == once


@pytest.mark.parametrize("hidden", ["na\u200bme", "na\nme", "na\u3164me", "na\x1bme"])
def test_an_error_shows_what_a_key_hides(hidden: str) -> None:
    assert escaped(hidden) == ascii(hidden)
    assert escaped("n\u00e4me") == "n\u00e4me"
    assert len(escaped("x" * 100)) == 60


def test_significant_digits_are_kept_however_small_a_price_is() -> None:
    assert significant(0.0000081234567) == 0.00000812346
    assert significant(Decimal("123456789"), 3) == 123_000_000.0
    assert number(0.0000081) == "8.1e-06"
    assert number(91626.33) == "91,626.33"
    assert number(None) == "-"
    assert [number(0.00012345678912), number(0.3), number(0.0)] == ["0.00012345678912", "0.3", "0"]


def test_moments_costs_and_confidences() -> None:
    assert minute(datetime(2026, 1, 31, 12, 5, 59, tzinfo=UTC)) == "2026-01-31 12:05"
    assert [cost(None), cost(Decimal(0)), cost(Decimal("0.12345"))] == ["cost unknown", "no cost", "$0.1234"]
    assert [counted(1, "run"), counted(0, "run"), counted(2, "run")] == ["1 run", "0 runs", "2 runs"]
    assert [percent(None), percent(Decimal("62.50"))] == ["", "62.5"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(86_400, "24 h"), (129_600, "36 h"), (180_000, "50 h"), (5_400, "90 min"), (432_000, "5 d"), (60, "60 s")],
)
def test_a_length_that_somebody_has_set_is_not_rounded(seconds: int, words: str) -> None:
    assert exact_duration(seconds) == words


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(days=3_650), "3,650 d"),
        (timedelta(days=999.8), "1,000 d"),
        (timedelta(days=12.34), "12.3 d"),
        (timedelta(minutes=119), "119 min"),
    ],
)
def test_a_long_time_has_no_exponent(length: timedelta, words: str) -> None:
    assert duration(length) == words


def test_small_amounts_of_dollars_keep_two_digits_and_none_looks_like_nothing() -> None:
    amounts = (0, 0.0004, 0.0123, 0.1, 1234.5, 0.00001)
    words = ["0.00", "0.0004", "0.012", "0.10", "1,234.50", "0.00001"]
    assert [dollars(amount) for amount in amounts] == words
    assert [dollars(Decimal(str(amount))) for amount in amounts] == words


def test_a_change_next_to_nothing_has_no_sign() -> None:
    assert [change(pct) for pct in (-0.004, 0.004, 0.0, -0.006, 10.0, -1234.5)] == [
        "0.00 %", "0.00 %", "0.00 %", "-0.01 %", "+10.00 %", "-1,234.50 %",
    ]  # fmt: skip


def test_only_all_is_100_per_cent_and_only_none_is_0() -> None:
    assert [share(one / 1_000) for one in (0, 5, 6, 500, 994, 995, 1_000)] == [
        "0 %", "under 1 %", "1 %", "50 %", "99 %", "over 99 %", "100 %",
    ]  # fmt: skip
    assert {share(one / 1_000) for one in range(1, 1_000)}.isdisjoint({"0 %", "100 %"})


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (31.9824, 38.4578, ("31.98", "38.46")),
        (31.9824, 31.9841, ("31.9824", "31.9841")),
        (12_345_678.0, 12_345_690.0, ("12,345,678", "12,345,690")),
        (-0.0000123, 0.0000123, ("-1.23e-05", "1.23e-05")),
    ],
)
def test_two_numbers_that_differ_are_not_written_alike(one: float, other: float, words: tuple[str, str]) -> None:
    assert two_numbers(one, other) == words


@pytest.mark.parametrize(("number", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (12_345, "12,345 runs")])
def test_a_number_of_things_is_written_with_commas_and_one_is_no_plural(number: int, text: str) -> None:
    assert counted(number, "run") == text
