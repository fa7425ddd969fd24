from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mcp_server.answers import ROWS, TEXTS, Table
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput
from mcp_server.toolkit import AsOf, Call, StrategyName, tool


class Performance(Table):
    """Rates are 0 to 1, _pct is per cent, _ci95 an interval; null: undefined, or not known yet.

    base_rate: any moment's. hold_: holding at the same moments; twin: its rules at them. evidence: too_few, none_yet,
    skill, no_skill (its stop), unknown, contaminated. bins: confidence, signals, share right, by chance from, to.
    usd_per_ is null while a cost is unknown.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any] = Field(init=False)

    summary: Annotated[list[str], TEXTS] | None = Field(default=None, description="Show these, not the hit rate alone")
    note: str | None = None
    rows: Annotated[list[list[Any]], ROWS] | None = Field(default=None, description="By strategy, or of the curve")

    large = True
    less = "Name a strategy."


@tool(title="Performance of signals", for_agents=False, example={"strategy_name": "rsi-reversion"})
async def get_performance(
    call: Call,
    strategy_name: StrategyName | None = None,
    since: Annotated[str | None, Field(max_length=40, description="Runs from then on")] = None,
    runs: Annotated[Literal["live", "manual", "replay", "all"], Field(description="live: on schedule")] = "live",
    curve: Annotated[bool | None, Field(description="Equity by exit, beside holding")] = None,
    replay: Annotated[str | None, Field(max_length=40, description="Its id, or two: a,b")] = None,
    as_of: AsOf = None,
) -> Performance:
    """Tell whether recorded signals were right after costs, against their controls. Use it before changing a strategy.

    Each BUY and SELL is judged once, at its horizon. Few signals prove nothing: look at evidence first, and at
    hit_rate beside base_rate. e_value 20 proves skill at 5 %.
    """
    from mcp_server.scoring.answer_form import invented, note, object_of, table_of
    from mcp_server.scoring.performance import Scoring
    from mcp_server.scoring.question import PerformanceQuestion

    kit, now = call.kit, call.kit.clock()
    until = call.moment(as_of)
    begin = None if since is None else parse_moment(since, name="since")
    if begin is not None and begin >= (now if as_of is None else until):  # a server may be held in the past meanwhile
        raise BadInput(f"since={since!r} is not before the moment asked for.", "Give an earlier one, or none.")
    if replay is not None and "runs" in call.given and runs != "replay":
        raise BadInput(f"A replay has no runs of the kind {runs!r}.", "Leave runs out, or leave replay out.")
    one = (strategy_name is not None or replay is not None) and runs != "all"
    if curve and not one:
        raise BadInput(
            "A curve is of one strategy and one kind of runs.",
            "Give strategy_name, or replay, and leave runs='all' out.",
        )
    kind = None if runs == "all" else runs
    first, _, second = (None, "", "") if replay is None else map(str.strip, replay.partition(","))
    question = PerformanceQuestion(until, now, strategy_name, kind, begin, bool(curve), first, second or None)
    scored = await Scoring(kit.market, kit.journal, kit.strategies, kit.default_exchange).answer(question, call.tell)
    if one:
        return Performance(**object_of(scored.scores[0], note(scored.notes)), **scored.replay, **scored.curve)
    return Performance(**table_of(scored.scores, runs), note=note([*invented(scored.scores), *scored.notes]))
