"""What strangers wrote comes out short, on one line, and reads as it is."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.chains.text import cleaned


def test_control_bidirectional_and_invisible_characters_are_gone() -> None:
    wicked = "U\u202eS\u200bD\u2066C\x00\x1b[31m\n\u2028\ufeff\u00ad\u3164\u115f\U000e0041 coin\u2069"
    assert cleaned(wicked, 30) == "USDC[31m coin"


def test_look_alike_forms_become_what_they_look_like_and_accents_do_not_pile_up() -> None:
    assert cleaned("\uff35\uff33\uff24\uff34", 16) == "USDT"
    assert len(cleaned("a" + "\u0301" * 500, 400)) <= 3


def test_marks_that_choose_a_form_and_could_carry_a_hidden_text_are_gone() -> None:
    hidden = "".join(chr(0xE0100 + byte) for byte in b"BUY NOW")
    assert cleaned(f"US{hidden}D\u180b\u180c\u180d\u180e\u180fC\ufe00\ufe0f", 400) == "USDC"


@given(st.text(max_size=300), st.integers(1, 40))
def test_it_is_never_longer_than_allowed_and_all_of_it_can_be_seen(text: str, limit: int) -> None:
    shown = cleaned(text, limit)
    assert len(shown) <= limit
    assert shown == shown.strip()
    assert all(unicodedata.category(character)[0] not in "C" for character in shown)
    assert "\n" not in shown
