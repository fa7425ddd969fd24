"""A request of the agent CLI to a model, as it may be forwarded: rewritten, with its key, and without today's date."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from os.path import realpath
from pathlib import Path
from typing import Any

from runner.claude.cassette.packed_request import PackedRequest
from runner.claude.cassette.wire import cutoff_of, key_of, own_words, rewritten, shows_date, stated_usd, without_user
from runner.claude.proxy.upstream import Header
from runner.claude.transcript import ANSWER_TOOL

MESSAGES = "/v1/messages"
_SPENT = re.compile(rb"USD budget: [^;]*; \$(?:-[\d.e+-]+|0) remaining")
UNKNOWN_DATE = (
    "The agent CLI would show the model today's date: it writes it in a way that is not known here. Install the "
    "claude-agent-sdk that this version was made for, or take the date out of the sub-agents' descriptions."
)
UNKNOWN_REQUEST = "The agent CLI sent a request that is not understood. Install the claude-agent-sdk of this version."

logger = logging.getLogger(__name__)


class NotAsked(Exception):
    """A request must not be forwarded; the text says why."""


@dataclass(frozen=True, slots=True)
class CliRequest:
    """A request of the CLI; `target` is its path without the proxy's secret, and its query."""

    method: str
    target: str
    headers: list[Header]
    body: bytes

    @property
    def is_message(self) -> bool:
        """Whether it asks a model for a reply."""
        return self.method == "POST" and self.target.partition("?")[0] == MESSAGES


@dataclass(frozen=True)
class ModelRequest:
    """A request to a model as it is forwarded, and what is known of it."""

    request: CliRequest
    body: Mapping[str, Any]
    key: str
    model: str
    cutoff: str | None
    stated_usd: Decimal

    @cached_property
    def kept(self) -> Mapping[str, Any]:
        """What of it a cassette holds."""
        return without_user(self.body)

    @cached_property
    def packed(self) -> PackedRequest:
        """The same, packed: worth to be done before there is a reply, while the API works."""
        return PackedRequest(self.kept)

    def prepare_to_keep(self) -> None:
        """Do now what can be done before there is a reply."""
        _ = self.packed

    @property
    def may_be_the_last(self) -> bool:
        """Whether the CLI may be about to end: it goes on asking while it ends for its budget, or for its answers."""
        replies = [message for message in self.body.get("messages", ()) if message.get("role") == "assistant"]
        blocks = replies[-1].get("content") if replies else None
        calls = [block.get("name") for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
        return ANSWER_TOOL in calls or _SPENT.search(self.request.body) is not None


def read_request(request: CliRequest, as_of: datetime, folder: Path) -> ModelRequest:
    """Return a request as it is forwarded.

    Raises:
        NotAsked: it is no request to a model, or the model would see today's date.
    """
    try:
        body = rewritten(json.loads(request.body), as_of, realpath(folder))
        words = own_words(body)
        question = ModelRequest(request, body, key_of(body), str(body["model"]), cutoff_of(words), stated_usd(words))
    except (ValueError, LookupError, TypeError, AttributeError):
        logger.exception("a request of the agent CLI")
        raise NotAsked(UNKNOWN_REQUEST) from None
    if _shows_today(words, as_of):
        raise NotAsked(UNKNOWN_DATE)
    return question


def rewritten_bytes(content: bytes, as_of: datetime, folder: Path) -> bytes:
    """Return the body of another request, rewritten where it has messages too."""
    try:
        body = json.loads(content)
        is_conversation = isinstance(body, dict) and "messages" in body
        return json.dumps(rewritten(body, as_of, realpath(folder))).encode() if is_conversation else content
    except (ValueError, LookupError, TypeError, AttributeError):
        return content


def credential_of(headers: list[Header]) -> str:
    """Return the variable from which the CLI took the credential that it sent."""
    sent = dict(headers)
    if not sent.get(b"authorization", b"").startswith(b"Bearer "):
        return "ANTHROPIC_API_KEY"
    return "CLAUDE_CODE_OAUTH_TOKEN" if b"oauth-" in sent.get(b"anthropic-beta", b"") else "ANTHROPIC_AUTH_TOKEN"


def _shows_today(words: Iterable[str], as_of: datetime) -> bool:
    """Return whether a request of a moment long past still tells the day on which it is sent, in any time zone."""
    today = datetime.now(UTC)
    if as_of >= today - timedelta(days=3):
        return False
    return shows_date(words, *((today + timedelta(days=days)).date() for days in (-1, 0, 1)))
