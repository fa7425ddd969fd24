"""One run on the command line, made ready in a thread while its tool server starts: strategy, journal and imports."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from mcp_server.domain.late_parts import NEEDS_MORE, late_parts
from mcp_server.domain.outcome import Ended, Engine
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput
from runner.cli import show
from runner.cli.context import Context, print_json
from runner.execute import Runner
from runner.tool_server.mcp_client import OF_THE_SERVER
from runner.tool_server.server import begun
from runner.tool_server.server_process import ServerProcess

LATER = (
    *("duckdb", "stamina", "h11", "httpcore2", "truststore"),
    *("mcp_server.storage.journal.rows", "mcp_server.storage.journal.ends"),
)
"""What a run imports only when it uses it, and imports of others do too."""

LATER_BY_CLAUDE = ("claude_agent_sdk", "runner.claude.engine", "runner.claude.recorder", "runner.claude.twin")


@dataclass(frozen=True, slots=True)
class ReadyRun:
    """A run that can begin: its strategy can be run by its engine. `as_json`: how it is shown."""

    runner: Runner
    strategy: Strategy
    engine: Engine
    as_json: bool

    async def run(self, as_of: datetime | None) -> Ended:
        """Run it to its end."""
        return await self.runner.run(self.strategy, engine=self.engine, as_of=as_of)

    def show(self, ended: Ended) -> None:
        """Show how it ended, on standard output."""
        if self.as_json:
            print_json(show.as_json(ended))
        else:
            show.executed(show.console(), self.strategy, ended)
        if sys.stdout is not None:  # a service may start it without one
            sys.stdout.flush()  # the end of the tool server is yet to be awaited


def ready_run(name: str, engine: Engine | None, server: ServerProcess | None, *, as_json: bool) -> ReadyRun:
    """Read the settings and a strategy, and import what its run will need.

    Args:
        name: the strategy's.
        engine: what decides; None: what the strategy says.
        server: the tool server where one was started already.
        as_json: whether the run is shown as JSON.

    Raises:
        NotFound: there is no such strategy.
        InvalidStrategy: its folder is not right.
        BadInput: the engine cannot run it.
        Misconfigured: a setting is not valid.
    """
    context = Context()
    settings = context.settings  # one that is not valid is told first
    strategy = context.strategies.read(name)
    chosen = engine or strategy.engine
    if chosen == "rules" and strategy.config.rules is None:
        raise BadInput(
            f"Strategy {name!r} has no rules, so --engine rules cannot run it.", "Add 'rules' to config.json."
        )
    if chosen == "claude" and not strategy.agents:
        raise BadInput(f"Strategy {name!r} has no sub-agents, so --engine claude cannot run it.", "Add agents.json.")
    progress = show.console(stderr=True, quiet=as_json or not sys.stderr.isatty())
    runner = Runner(
        settings,
        context.journal,
        context.journal_database,
        serving=begun(server, settings),
        clock=context.clock,
        progress=lambda line: progress.print(show.plain(line, "dim")),
    )
    _import_the_rest(chosen)
    return ReadyRun(runner, strategy, chosen, as_json)


def _import_the_rest(engine: Engine) -> None:
    """Import what a run would import later, step by step: until the tool server answers there is time for it."""
    for name in (*LATER, *(LATER_BY_CLAUDE if engine == "claude" else ())):
        with suppress(*NEEDS_MORE), late_parts(OF_THE_SERVER):  # what is missing is an outcome, and not an error here
            import_module(name)
