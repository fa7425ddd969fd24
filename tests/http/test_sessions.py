"""The page's cookie: what counts as one, and that it ends with its time and with its token."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from mcp_server.http.sessions import AHEAD_S, COOKIE, KNOWN_COOKIE, SECURE_COOKIE, SESSION_S, Sessions
from mcp_server.http.tokens import Grant, Tokens
from mcp_server.storage.setting_types import TokenEntry

NOW = 1_800_000_000.0
PAGE = Grant("page of token laptop", "read")


def sessions(**tokens: str) -> Sessions:
    return Sessions(Tokens({name: TokenEntry(token=SecretStr(token), scope="write") for name, token in tokens.items()}))


OURS = sessions(phone="pocket", laptop="s3cret")
VALUE = OURS.sign(COOKIE, "laptop", NOW, SESSION_S)
UNTIL, NONCE, MAC = VALUE.split(".")


def allowed(*headers: str, at: float = NOW, by: Sessions = OURS) -> Grant | None:
    return by.grant(headers, at)


def test_a_session_reads_whatever_its_token_may_and_is_counted_by_the_tokens_name() -> None:
    assert allowed(f"{COOKIE}={VALUE}") == PAGE
    assert allowed(f"theme=dark; {COOKIE}={VALUE};other=1") == PAGE
    assert allowed("theme=dark", f"{COOKIE}={VALUE}") == PAGE


def test_a_session_tells_neither_its_token_nor_the_name_and_no_two_are_the_same() -> None:
    assert not {"s3cret", "laptop"} & set(VALUE.split("."))
    assert OURS.sign(COOKIE, "laptop", NOW, SESSION_S) != VALUE


def test_a_session_holds_for_thirty_days() -> None:
    assert SESSION_S == 30 * 24 * 60 * 60
    assert allowed(f"{COOKIE}={VALUE}", at=NOW + SESSION_S - 1) == PAGE
    assert allowed(f"{COOKIE}={VALUE}", at=NOW + SESSION_S) is None


def test_a_session_of_the_future_is_none_unless_two_clocks_may_differ_so_much() -> None:
    assert allowed(f"{COOKIE}={VALUE}", at=NOW - AHEAD_S) == PAGE
    assert allowed(f"{COOKIE}={VALUE}", at=NOW - AHEAD_S - 1) is None


def test_a_session_holds_on_every_server_that_has_the_token_under_any_name() -> None:
    assert allowed(f"{COOKIE}={VALUE}", by=sessions(other="x", renamed="s3cret")) == Grant(
        "page of token renamed", "read"
    )


def test_a_session_ends_with_its_token() -> None:
    assert allowed(f"{COOKIE}={VALUE}", by=sessions(phone="pocket")) is None
    assert allowed(f"{COOKIE}={VALUE}", by=sessions(phone="pocket", laptop="replaced")) is None
    assert allowed(f"{COOKIE}={VALUE}", by=sessions()) is None


def _forged() -> Iterator[tuple[str, str]]:
    yield "nothing", ""
    yield "cut", VALUE[:-1]
    yield "longer", f"{VALUE}0"
    yield "quoted", f'"{VALUE}"'
    yield "a later end", f"{int(UNTIL) + 1}.{NONCE}.{MAC}"
    yield "an end with a leading zero", f"0{UNTIL}.{NONCE}.{MAC}"
    yield "an end in other digits", f"{UNTIL.translate(str.maketrans('0123456789', '٠١٢٣٤٥٦٧٨٩'))}.{NONCE}.{MAC}"
    yield "no end", f".{NONCE}.{MAC}"
    yield "another nonce", f"{UNTIL}.{'0' * 32}.{MAC}"
    yield "no signature", f"{UNTIL}.{NONCE}."
    yield "a signature of zeros", f"{UNTIL}.{NONCE}.{'0' * 64}"
    yield "a signature in capitals", f"{UNTIL}.{NONCE}.{MAC.upper()}" if MAC.upper() != MAC else ""
    yield "a million bytes", "1" * 1_000_000
    yield "signed by another token", sessions(laptop="guess").sign(COOKIE, "laptop", NOW, SESSION_S)
    yield "a browser that is known", OURS.sign(KNOWN_COOKIE, "laptop", NOW, SESSION_S)


@pytest.mark.parametrize("value", [value for _, value in _forged()], ids=[what for what, _ in _forged()])
def test_a_cookie_that_is_not_as_it_was_signed_counts_as_none(value: str) -> None:
    assert allowed(f"{COOKIE}={value}") is None


def test_of_two_cookies_that_are_valid_none_counts() -> None:
    other = OURS.sign(COOKIE, "phone", NOW, SESSION_S)
    assert allowed(f"{COOKIE}={VALUE}; {COOKIE}={VALUE}") is None
    assert allowed(f"{COOKIE}={VALUE}; {COOKIE}={other}") is None
    assert allowed(f"{COOKIE}={other}", f"{COOKIE}={VALUE}") is None


def test_a_cookie_that_somebody_else_has_set_without_a_token_locks_nobody_out() -> None:
    assert allowed(f"{COOKIE}={VALUE}", f"{COOKIE}=x") == PAGE
    assert allowed(f"{COOKIE}=; {COOKIE}={MAC}; {COOKIE}={VALUE}") == PAGE


def test_a_cookie_of_another_name_counts_as_none() -> None:
    assert allowed(f"{COOKIE}2={VALUE}; x{COOKIE}={VALUE}; {COOKIE.upper()}={VALUE}; {VALUE}") is None


def test_behind_tls_a_cookie_that_another_host_has_set_cannot_stand_in_the_way() -> None:
    assert allowed(f"{COOKIE}=planted; {SECURE_COOKIE}={VALUE}; {COOKIE}=twice") == PAGE
    assert allowed(f"{COOKIE}={VALUE}; {SECURE_COOKIE}=wrong") is None
