"""What the replies that a run was given cost: by the agent CLI's own account, split by their tokens. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from runner.claude.cassette.cassettes import TokenCounts

_OUTPUT, _CREATION, _CREATION_1H = Decimal(5), Decimal("1.25"), Decimal(2)
"""What a token costs, as a multiple of one of input: the same for all models."""

_READS = (Decimal("0.1"), Decimal("0.05"), Decimal("0.025"))
"""The same of a token that is read from the cache; newer models have the lower ones."""


@dataclass(frozen=True, slots=True)
class ReplyUse:
    """One reply that a run was given; `own`: this run has paid for it, now or before.

    `times` is how often it was asked for, and so paid: a reply that was under way when its run was killed is asked
    for again.
    """

    model: str
    usage: TokenCounts
    own: bool
    times: int = 1


def live_share(model_usage: Mapping[str, Mapping[str, Any]], usages: Sequence[ReplyUse]) -> Decimal:
    """Return what the replies that a run has paid for cost in US dollars, by what the CLI counts for all of them.

    The CLI counts a reply from the cassette as spent too, and one that was asked for again once only. A model's cost is
    split by tokens, each weighted by what it costs. What the CLI counts for a model without any reply counts as paid.

    Args:
        model_usage: the CLI's own account: a model's name → its `costUSD`.
        usages: the replies that the run was given.
    """
    paid = Decimal(0)
    for model, account in model_usage.items():
        cost = Decimal(str(account.get("costUSD") or 0))
        of_model = [use for use in usages if plain_model(use.model) == plain_model(model)]
        read = _read_weight(cost, [use.usage for use in of_model])
        whole = sum(weighted(use.usage, read) for use in of_model)
        own = sum(weighted(use.usage, read) * use.times for use in of_model if use.own)
        paid += cost * own / whole if whole else cost
    return paid


def weighted(tokens: TokenCounts, read: Decimal = _READS[0]) -> Decimal:
    """Return the tokens of a reply as so many of input that cost the same; `read` is the weight of a cached one."""
    creation = _CREATION * (tokens.cache_creation - tokens.cache_creation_1h) + _CREATION_1H * tokens.cache_creation_1h
    return tokens.input + _OUTPUT * tokens.output + read * tokens.cache_read + creation


def _read_weight(cost: Decimal, replies: Sequence[TokenCounts]) -> Decimal:
    """Return the weight of a cached token with which a million tokens of input have a price in whole tenths of a cent.

    Prices are round, and the CLI counts exactly: with a wrong weight the price is not.
    """
    for read in _READS:
        whole = sum((weighted(tokens, read) for tokens in replies), Decimal(0))
        thousandths = cost * 10**9 / whole if whole else Decimal(0)
        if abs(thousandths - round(thousandths)) < Decimal("1e-6"):
            return read
    return _READS[0]


def plain_model(name: str) -> str:
    """Return a model's name without the mark that the CLI adds for a long context."""
    return name.partition("[")[0]
