"""Translates ccxt's errors into the project's own, without the URLs and raw texts that ccxt puts into them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from mcp_server.adapters.ccxt.package import errors as theirs
from mcp_server.domain.text import cleaned
from mcp_server.errors import NotFound, NotSupported, Retryable, TraderError, UpstreamRejected

_READ_LIMIT, _QUOTE_LIMIT = 2_000, 100

_URL = re.compile(r"\S+://\S+|\bwww\.\S+|\b[\w-]+(?:\.[\w-]+)+/\S*")

_REFUSED_PLACE = re.compile(
    r"restricted location|(?:access from|available in|unavailable in) your (?:country|region|location)", re.IGNORECASE
)

_LATER, _AGAIN = "Wait a minute, then try again.", "Try again."
_OTHER = "Try another exchange."
_ONLINE = "Check that this machine reaches the internet, then try again."
_UNREACHABLE = "cannot be reached or is not available at the moment"

_MEANINGS: tuple[tuple[type[Exception], type[TraderError], str, str], ...] = (
    (theirs.RateLimitExceeded, Retryable, "is asked too often", _LATER),
    (theirs.DDoSProtection, Retryable, "is asked too often", _LATER),
    (theirs.OnMaintenance, Retryable, "is under maintenance", "Try again later."),
    (theirs.RequestTimeout, Retryable, "did not answer in time", _AGAIN),
    (theirs.NetworkError, Retryable, _UNREACHABLE, _ONLINE),
    (theirs.BadSymbol, NotFound, "has no such market", "find_markets lists its markets."),
    (theirs.AuthenticationError, UpstreamRejected, "requires credentials for this; only public data is used", _OTHER),
    (theirs.NotSupported, NotSupported, "does not offer this", _OTHER),
    (theirs.BadResponse, UpstreamRejected, "sent an answer that cannot be read", _OTHER),
    (theirs.BaseError, UpstreamRejected, "refused the request", _OTHER),
    (aiohttp.ClientError, Retryable, _UNREACHABLE, _ONLINE),
    (OSError, Retryable, _UNREACHABLE, _ONLINE),
    (Exception, UpstreamRejected, "sent an answer of an unexpected shape", _OTHER),
)
"""What is raised → the kind of our error, its problem and its remedy; the first that fits."""


@contextmanager
def translated(exchange_id: str) -> Iterator[None]:
    """Translate whatever ccxt raises within the block, as `_MEANINGS` says."""
    try:
        yield
    except TraderError:
        raise
    except Exception as error:
        raise _ours(error, exchange_id) from None


def _ours(error: Exception, exchange_id: str) -> TraderError:
    text = str(error)
    if isinstance(error, theirs.RestrictedLocation) or _REFUSED_PLACE.search(" ".join(_URL.sub("", text).split())):
        other = "coinbase" if exchange_id == "kraken" else "kraken"
        return UpstreamRejected(
            f"{exchange_id!r} refuses requests from this location.",
            f"Use exchange={other!r} instead, or 'krakenfutures' for swaps.",
        )
    if isinstance(error.__cause__, aiohttp.ClientPayloadError):  # an answer that breaks off; ccxt calls it a refusal
        error = error.__cause__
    kind, meaning, remedy = next(row[1:] for row in _MEANINGS if isinstance(error, row[0]))
    quote = _quoted(text, exchange_id) if isinstance(error, theirs.BaseError) else ""
    return kind(f"{exchange_id!r} {meaning}{quote}.", remedy)


def _quoted(text: str, exchange_id: str) -> str:
    """Cut the exchange's own words short: enough to recognise the fault, quoted because a stranger wrote them."""
    visible = cleaned(re.sub(r"<[^>]*>", " ", text), _READ_LIMIT)  # first, as unseen characters may hide a URL
    words = _URL.sub("", visible).removeprefix(exchange_id)
    words = cleaned(re.sub(r"^ ?(?:GET|POST)\b", "", words), _QUOTE_LIMIT)
    return f" (it said {words!r})" if words else ""
