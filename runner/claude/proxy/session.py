"""One run of the agent CLI through the recording proxy: what is decided beforehand, and what becomes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from runner.claude.cassette.cassettes import Cassette, Recorded
from runner.claude.proxy.reply_cost import ReplyUse

Mode = Literal["record", "rerun"]


@dataclass(slots=True)
class Session:
    """One run of the CLI through the proxy: what its caller decides, and then what became of it.

    Args:
        as_of: the run's moment, whose date the model sees.
        folder: the folder of the run's CLI.
        cassette: where its replies lie; None: nothing is kept, requests are only rewritten.
        run_key: names the run as the one who pays.
        mode: `record` asks for what is not on the cassette; `rerun` never asks anything.
        allow: called with a model and its knowledge cutoff before its first request is forwarded; returns why not.
        reused: called with the key and the body of a request that is not on the cassette, before it is asked; returns a
            reply that was recorded elsewhere.
        may_ask: called right before each request that would cost is forwarded; returns why not.
        stop: ends the CLI at once; called with the reason.
        one_at_a_time: forward a request only when the reply to the one before it has ended, and is in `usages`.
        answered: called with the status of each answer of the API as soon as it is known, and with how many seconds
            it asks to wait (None: it does not say); the status is None where the API could not be reached. A 400 that
            turns out to refuse the account is told again as what it means, 402.
    """

    as_of: datetime
    folder: Path
    cassette: Cassette | None
    run_key: str
    mode: Mode = "record"
    allow: Callable[[str, str | None], str | None] = lambda model, cutoff: None
    reused: Callable[[str, Mapping[str, Any]], Recorded | None] | None = None
    may_ask: Callable[[], str | None] = lambda: None
    stop: Callable[[str], None] = lambda why: None
    one_at_a_time: bool = False
    answered: Callable[[int | None, float | None], None] = lambda status, retry_after_s: None

    environment: dict[str, str] = field(default_factory=dict)
    """What to set for the CLI: the address to ask, and in a rerun a credential that is none."""
    hits: int = 0
    derived: int = 0
    """How many of the hits no model has given as they are: they lack the start of a sub-agent."""
    asked: int = 0
    cutoffs: dict[str, str | None] = field(default_factory=dict)
    drift: Mapping[str, Any] | None = None
    """The rewritten request that a rerun did not find on its cassette."""
    refused: str | None = None
    """Why `allow`, `may_ask` or the proxy itself did not let a request go out."""
    usages: list[ReplyUse] = field(default_factory=list)
    unkept: str | None = None
    """Why a reply is not on the cassette although it is whole."""
    stated_usd: Decimal = Decimal(0)
    """What the CLI has said at most to have spent."""
    counted: set[str] = field(default_factory=set)
    """The keys of `usages`: the same reply is not paid for twice."""

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is to be for the CLI."""
        return self.environment["ANTHROPIC_BASE_URL"]
