"""A reply of the Messages API: whether it is whole, and what it used."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from runner.claude.cassette.cassettes import KEPT_STATUSES, MOST_TOKENS, TokenCounts
from runner.claude.cassette.reply_events import reply_events
from runner.claude.verdict import meaning

LAST_EVENT, LAST_EVENT_BYTES = b"message_stop", 4_000
"""What names the last event of a stream, and how long that event is at most. A model may write the word, too."""

MOST_WAIT_S = 86_400.0
"""Who asks to wait for longer means no time at all."""

_USAGE = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}


def tokens_of_whole(status: int, content_type: str, received: bytes) -> TokenCounts | None:
    """Return the tokens of a reply that may be kept; None where it is not whole, or says nothing about the request."""
    try:
        reply = received.decode()
    except UnicodeDecodeError:
        return None
    if status not in KEPT_STATUSES:
        return None
    if status != 200:
        return TokenCounts() if meaning(status, reply) == status and isinstance(_parsed(reply), dict) else None
    if not content_type.startswith("text/event-stream"):
        message = _parsed(reply)
        whole = isinstance(message, dict) and message.get("type") == "message"
        return _tokens(_object(message.get("usage"))) if whole else None
    return _tokens_of_stream(reply)


def unknown_packing(header: str | None) -> bytes | None:
    """Return the encoding of a body that cannot be unpacked here; it was not asked for."""
    encodings = {name.strip().lower() for name in (header or "").split(",")}
    return header.encode() if header and encodings - {"", "identity", "gzip", "deflate"} else None


def retry_after_s(header: str | None) -> float | None:
    """Return how many seconds an answer asks to wait; None where it does not say."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MOST_WAIT_S)


def _tokens_of_stream(reply: str) -> TokenCounts | None:
    usage: dict[str, Any] = {}
    began, ended = False, False
    for event in (event.values for event in reply_events(reply)):
        kind = event.get("type")
        if kind in (None, "ping"):
            continue
        if kind == "error" or ended:
            return None
        if kind == "message_start":
            began = True
            usage |= _object(_object(event.get("message")).get("usage"))
        elif kind == "message_delta":
            usage |= {name: value for name, value in _object(event.get("usage")).items() if value is not None}
        ended = kind == "message_stop"
    return _tokens(usage) if began and ended else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    """Return a number of tokens; what is none counts nothing, as no gateway may make a reply cost less than nothing."""
    return value if isinstance(value, int) and 0 <= value < MOST_TOKENS else 0


def _tokens(usage: Mapping[str, Any]) -> TokenCounts:
    for_an_hour = _count(_object(usage.get("cache_creation")).get("ephemeral_1h_input_tokens"))
    counts = {name: _count(usage.get(key)) for name, key in _USAGE.items()}
    return TokenCounts(**counts, cache_creation_1h=min(for_an_hour, counts["cache_creation"]))
