"""Says what a replay without a sub-agent uses again of what was recorded with it, and about what the rest costs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from mcp_server.domain.strategy.run_prompts import sub_agent_prompt
from mcp_server.domain.text import counted, dollars
from runner.claude.cassette.ablation import Ablation, MomentReuse
from runner.claude.cassette.cassettes import Cassette
from runner.replay.replayed import ReplayRequest
from runner.replay.token_prices import TokenPrices


def reuses(
    ablation: Ablation, own: Cassette, request: ReplayRequest, moments: Sequence[datetime], default_exchange: str
) -> Mapping[datetime, MomentReuse]:
    """Return for each moment what need not be asked; reads all that is recorded of it."""
    strategy = request.strategy
    exchange = strategy.config.exchange or default_exchange
    return {
        moment: ablation.reuse(
            moment, own, [sub_agent_prompt(strategy, name, exchange, moment) for name in strategy.agents]
        )
        for moment in moments
    }


def beforehand(request: ReplayRequest, reuse: Mapping[datetime, MomentReuse], prices: TokenPrices) -> str:
    """Say it in a few sentences, before anything is paid."""
    names = " and ".join(request.without)
    partly = [one for one in reuse.values() if one.to_ask is not None]
    kept, derived = sum(one.on_cassette for one in partly), sum(one.derived for one in partly)
    asked, usd_like = (
        sum(one.to_ask or 0 for one in partly),
        sum((prices.worth(one.like) for one in partly), Decimal(0)),
    )
    sentences = []
    if partly:
        cost = f"; such turns cost {dollars(usd_like)} USD when they were recorded" if usd_like else ""
        sentences = [
            f"Without {names}, {kept:,} recorded and {derived:,} derived replies are used again, at {len(partly):,} of "
            f"{counted(len(reuse), 'moment')}. {counted(asked, 'turn')} of the orchestrator must be asked{cost}."
        ]
    if len(partly) < len(reuse):
        sentences.append(
            f"At {counted(len(reuse) - len(partly), 'moment')} nothing can be used again, so whole runs are asked."
        )
    if named := [name for name in request.without if name in (request.strategy.config.synthesis_logic or "")]:
        sentences.append(f"'synthesis_logic' still names {' and '.join(named)}: the orchestrator may miss that report.")
    return " ".join(sentences)


def afterwards(request: ReplayRequest, derived: int) -> str:
    """Say how many replies no model has given as they are."""
    starts = "start" if len(request.without) == 1 else "starts"
    return (
        f"{counted(derived, 'run')} began with a derived reply: the orchestrator's first one as it was recorded, "
        f"without the {starts} of {' and '.join(request.without)}. All later replies are those of a model."
    )
