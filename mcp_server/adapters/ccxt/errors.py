"""Translates what ccxt raises into the project's own errors, without the URLs and raw texts that ccxt puts in them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from ccxt.base import errors as theirs

from mcp_server.domain.text import cleaned
from mcp_server.errors import NotFound, NotSupported, Retryable, TraderError, UpstreamRejected

_SAID_LIMIT = 100

_URL = re.compile(r"\S+://\S+|\bwww\.\S+|\b[\w-]+(?:\.[\w-]+)+/\S*")

_REFUSED_PLACE = re.compile(
    r"restricted location|(?:access from|available in|unavailable in) your (?:country|region|location)", re.IGNORECASE
)

_MEANINGS: tuple[tuple[type[Exception], type[TraderError], str], ...] = (
    (theirs.RateLimitExceeded, Retryable, "is asked too often; wait a minute, then try again"),
    (theirs.DDoSProtection, Retryable, "is asked too often; wait a minute, then try again"),
    (theirs.OnMaintenance, Retryable, "is under maintenance; try again later"),
    (theirs.RequestTimeout, Retryable, "did not answer in time; try again"),
    (theirs.NetworkError, Retryable, "cannot be reached or is not available at the moment; try again"),
    (theirs.BadSymbol, NotFound, "has no such market"),
    (theirs.AuthenticationError, UpstreamRejected, "wants credentials for this, and only public data is asked for"),
    (theirs.NotSupported, NotSupported, "does not offer this; try another exchange"),
    (theirs.BadResponse, UpstreamRejected, "answered what cannot be read"),
    (theirs.BaseError, UpstreamRejected, "refused the request"),
    (aiohttp.ClientError, Retryable, "cannot be reached or is not available at the moment; try again"),
    (OSError, Retryable, "cannot be reached or is not available at the moment; try again"),
    (Exception, UpstreamRejected, "answered in an unexpected shape"),
)
"""What is raised → what it means for the caller; the first that fits."""


@contextmanager
def translated(exchange_id: str) -> Iterator[None]:
    """Turn whatever ccxt raises within the block into one of the project's errors.

    Raises:
        TraderError: `Retryable`, `NotFound`, `NotSupported` or `UpstreamRejected`, as `_MEANINGS` says.
    """
    try:
        yield
    except TraderError:
        raise
    except Exception as error:
        raise _ours(error, exchange_id) from None


def _ours(error: Exception, exchange_id: str) -> TraderError:
    text = " ".join(_URL.sub("", str(error)).split())
    if isinstance(error, theirs.RestrictedLocation) or _REFUSED_PLACE.search(text):
        other = "coinbase" if exchange_id == "kraken" else "kraken"
        return UpstreamRejected(
            f"{exchange_id!r} refuses requests from this location. Use exchange={other!r} instead, "
            "or 'krakenfutures' for swaps."
        )
    if isinstance(error.__cause__, aiohttp.ClientPayloadError):  # an answer that breaks off; ccxt calls it a refusal
        error = error.__cause__
    kind, meaning = next((kind, meaning) for raised, kind, meaning in _MEANINGS if isinstance(error, raised))
    said = _said(text, exchange_id) if isinstance(error, theirs.BaseError) else ""
    return kind(f"{exchange_id!r} {meaning}{said}.")


def _said(text: str, exchange_id: str) -> str:
    """Cut the remote's own words short: enough to recognise the fault, quoted because a stranger wrote them."""
    words = re.sub(r"<[^>]*>", " ", text).removeprefix(exchange_id)
    words = cleaned(re.sub(r"^ ?(?:GET|POST)\b", "", words), _SAID_LIMIT)
    if not words:
        return ""
    return f" (it said {words!r})"
