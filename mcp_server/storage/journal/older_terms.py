"""The terms of runs of earlier versions, which did not store them: derived from what their strategy said."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from mcp_server.domain.outcome import RunEngine
from mcp_server.domain.scoring.terms import Terms, terms_of
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.strategy.parse import parse_files
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.storage.sql import SqlConnection
from mcp_server.storage.strategies.folders import StrategyFolders


@dataclass(frozen=True, slots=True)
class OlderRun:
    """Runs without terms, of one version of a strategy and one engine, and what the journal says of that strategy.

    `mirrored_version` is that of `config` and `agents`, which the strategy had when it last ran.
    """

    strategy_id: int
    version: str
    engine: str
    name: str
    config: str
    agents: str
    mirrored_version: str

    @property
    def key(self) -> tuple[int, str, str]:
        """What runs with the same terms have in common."""
        return self.strategy_id, self.version, self.engine


def older_runs(connection: SqlConnection) -> list[OlderRun]:
    """Return what there is of runs without terms; none once they are frozen."""
    rows = connection.execute(
        "SELECT DISTINCT e.strategy_id, e.strategy_version, e.engine, s.name, CAST(s.config AS VARCHAR), "
        "CAST(s.agents AS VARCHAR), s.version FROM executions e JOIN strategies s ON s.id = e.strategy_id "
        "WHERE e.decision_version IS NULL"
    ).fetchall()
    return [OlderRun(*row) for row in rows]


def older_terms(run: OlderRun, strategies: StrategyFolders, default_exchange: str) -> Terms:
    """Return the terms that a run would have been given.

    They are those of its version of the strategy, where that was kept or is in the journal; else those of the strategy
    as it is now; else those that the journal has.
    """
    strategy = next(_candidates(run, strategies))
    return terms_of(strategy, cast(RunEngine, run.engine), default_exchange)


def _candidates(run: OlderRun, strategies: StrategyFolders) -> Iterator[Strategy]:
    """Yield the strategy from each source that has it, the best first; the last one always does."""
    present = _readable(run.name, lambda: strategies.content(run.name))
    if present is not None and present.version == run.version:
        yield present
    if kept := _readable(run.name, lambda: strategies.versions.content(run.name, run.version)):
        yield kept
    mirrored = _readable(run.name, lambda: (json.loads(run.config), json.loads(run.agents)))
    if mirrored is not None and run.version == run.mirrored_version:
        yield mirrored
    for strategy in (present, mirrored):
        if strategy is not None:
            yield strategy
    symbol = json.loads(run.config).get("trading_pair")  # a journal that somebody wrote by hand
    yield Strategy.model_construct(
        name=run.name, config=Config.model_construct(trading_pair=str(symbol), cron="0 0 * * *"), agents={}
    )


def _readable(name: str, content: Callable[[], tuple[Any, Any]]) -> Strategy | None:
    """Read a strategy whose config is valid by itself: an earlier version may have run what this one refuses."""
    try:
        files = parse_files(name, *content())
    except TraderError:
        return None
    if files.config is None:
        return None
    config = files.config.model_copy(update={"name": name})
    return Strategy.model_construct(name=name, config=config, agents=files.agents)
