"""What a replay is known to have spent while its runs go on, from the tokens of each reply."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.claude.recording import ReplyUse


@dataclass(slots=True)
class TokenPrices:
    """What a token of input costs, in US dollars, by model: as the agent CLI's accounts of ended runs have told."""

    by_model: dict[str, Decimal] = field(default_factory=dict)

    def learn(self, trace: Mapping[str, Any] | None) -> None:
        """Learn from the account in a run's trace."""
        from runner.claude.cassettes import TokenCounts
        from runner.claude.recording import plain_model, weighted

        for model, account in (trace or {}).get("model_usage", {}).items():
            if not isinstance(account, Mapping):
                continue
            tokens = TokenCounts(*(int(account.get(name) or 0) for name in _COUNTED))
            if account.get("costUSD") and weighted(tokens):
                self.by_model[plain_model(model)] = Decimal(str(account["costUSD"])) / weighted(tokens)

    def cost(self, replies: Iterable["ReplyUse"]) -> Decimal:
        """Return what the replies that a run has paid cost; those of a model of unknown price count nothing."""
        from runner.claude.recording import plain_model, weighted

        paid = (reply for reply in replies if reply.own)
        costs = (weighted(reply.usage) * reply.times * self.by_model.get(plain_model(reply.model), 0) for reply in paid)
        return sum(costs, Decimal(0))


_COUNTED = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
