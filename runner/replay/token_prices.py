"""What a replay is known to have spent while its runs go on, from the tokens of each reply."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from runner.claude.cassette.cassettes import Recorded, TokenCounts
from runner.claude.proxy.reply_cost import ReplyUse, plain_model, weighted
from runner.claude.proxy.session import Session

_COUNTED = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
"""What the CLI counts of a model, in the order of `TokenCounts`."""


@dataclass(slots=True)
class TokenPrices:
    """What a token of input costs, in US dollars, by model: as the agent CLI's accounts of ended runs have told."""

    by_model: dict[str, Decimal] = field(default_factory=dict)
    stated: dict[str, Decimal] = field(default_factory=dict)
    """At least so much, for models of which no run has ended yet."""

    def learn(self, trace: Mapping[str, Any] | None) -> None:
        """Learn from the account in a run's trace."""
        for model, account in (trace or {}).get("model_usage", {}).items():
            if not isinstance(account, Mapping):
                continue
            tokens = TokenCounts(*(int(account.get(name) or 0) for name in _COUNTED))
            if account.get("costUSD") and weighted(tokens):
                self.by_model[plain_model(model)] = Decimal(str(account["costUSD"])) / weighted(tokens)

    def learn_stated(self, session: Session) -> None:
        """Learn from what the CLI has stated of a run under way, where no run has told the price of its model yet.

        It states what it had counted when it made a request, so the price is at least what follows from that.
        """
        models = {plain_model(reply.model) for reply in session.usages}
        if len(models) == 1 and not models & self.by_model.keys():
            (model,) = models
            tokens = sum((weighted(reply.usage) for reply in session.usages), Decimal(0))
            if tokens:
                self.stated[model] = max(self.stated.get(model, Decimal(0)), session.stated_usd / tokens)

    def cost(self, replies: Iterable[ReplyUse]) -> Decimal:
        """Return what the replies that a run has paid cost; those of a model of unknown price count nothing."""
        return sum((self._price(reply) * reply.times for reply in replies if reply.own), Decimal(0))

    def worth(self, replies: Iterable[Recorded]) -> Decimal:
        """Return what the agent CLI takes replies from the cassette to cost."""
        return sum(map(self._price, replies), Decimal(0))

    def _price(self, reply: ReplyUse | Recorded) -> Decimal:
        model = plain_model(reply.model)
        return weighted(reply.usage) * self.by_model.get(model, self.stated.get(model, Decimal(0)))
