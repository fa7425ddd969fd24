"""Checks that go before each of ccxt's classes: an answer is whole or refused, and its date is kept."""

from contextvars import ContextVar
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from mcp_server.adapters.ccxt.package import errors as theirs
from mcp_server.domain.timeframes import to_ms

CLOCK_MS: ContextVar[int | None] = ContextVar("clock_ms", default=None)
"""The exchange's clock with the latest answer to this task (Unix ms, whole seconds)."""

_REFUSALS = frozenset({400, 402, 403, 404, 405, 406, 410, 422})
"""HTTP statuses that a repeated request would meet again."""

_REQUIRED_KEY = {"kraken": "result"}
"""The key that each good answer of an exchange has; ccxt would take its absence for an empty list."""


class WholeAnswers:
    """Goes before one of ccxt's classes, which take broken JSON for an empty answer and any refusal for an outage."""

    id: str

    async def fetch(self, *request: Any) -> Any:
        """Make a request as ccxt does, and refuse an answer that is not JSON or is empty."""
        answer = await super().fetch(*request)  # type: ignore[misc]
        if not isinstance(answer, dict | list) or answer == {}:
            raise theirs.BadResponse
        if isinstance(answer, dict) and _REQUIRED_KEY.get(self.id, next(iter(answer))) not in answer:
            raise theirs.BadResponse
        return answer

    def parse_ohlcv(self, row: Any, *market: Any) -> list[Any]:
        """Read a candle as ccxt does, and refuse one without a time, which ccxt would pass over."""
        parsed: list[Any] = super().parse_ohlcv(row, *market)  # type: ignore[misc]
        if parsed[0] is None:
            raise theirs.BadResponse
        return parsed

    def on_rest_response(self, code: int, reason: str, url: str, method: str, headers: Any, *answer: Any) -> Any:
        """Look at an answer before ccxt reads it: status 451 has one meaning, whatever the body is."""
        CLOCK_MS.set(_date_ms(headers))
        if code == 451:
            raise theirs.RestrictedLocation
        return super().on_rest_response(code, reason, url, method, headers, *answer)  # type: ignore[misc]

    def handle_http_status_code(self, code: int, reason: str, url: str, method: str, body: str) -> None:
        """Tell refusals from outages where the exchange's own class made nothing of the body."""
        if code in _REFUSALS:
            raise theirs.OperationRejected(f"HTTP {code} {body}")
        super().handle_http_status_code(code, reason, url, method, body)  # type: ignore[misc]


def _date_ms(headers: Any) -> int | None:
    """Read the Date header (RFC 9110, 6.6.1); None if it is missing or cannot be read."""
    date = next((value for name, value in headers.items() if name.lower() == "date"), None)
    try:
        moment = None if date is None else parsedate_to_datetime(date)
        return None if moment is None else to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (TypeError, ValueError, OverflowError):
        return None
