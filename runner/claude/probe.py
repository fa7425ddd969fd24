"""Learns the knowledge cutoffs of a strategy's models before anything is paid.

The agent CLI states a model's cutoff in its first request. Here no request goes further than the recording proxy.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned
from mcp_server.errors import Misconfigured
from runner.claude.cli_folder import LAUNCHER, CliFolder, cli_folder
from runner.claude.preflight import without_claude
from runner.claude.session import CLI_SETTINGS, SEALED, bundled_cli, converse, require_claude
from runner.no_proxy import no_proxy

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions

    from runner.claude.recording import Proxy

LIMIT_S = 60
"""How long the agent CLI may take to make its first request, in seconds."""


async def cutoffs_of(strategy: Strategy, environment: Mapping[str, str], proxy: "Proxy") -> dict[str, str | None]:
    """Return the knowledge cutoff of each model that a strategy uses, by the model's id; None where it is not stated.

    Args:
        strategy: whose orchestrator and sub-agents are looked at.
        environment: the credentials, as a run gets them: which model is the default depends on them.
        proxy: where the requests end.

    Raises:
        Misconfigured: there is no agent or no credential, or the agent CLI made no request.
    """
    from runner.claude.proxy.session import Session

    require_claude(environment, without_claude(strategy))
    own = strategy.config.model
    models = {own, *(own if agent.model in (None, "inherit") else agent.model for agent in strategy.agents.values())}
    sessions: list[Session] = []
    stderr: list[str] = []

    async def learn(model: str | None) -> None:
        with anyio.move_on_after(LIMIT_S), cli_folder() as folder:
            session = Session(
                as_of=datetime.now(UTC),
                folder=folder.path,
                cassette=None,
                run_key="probe",
                allow=lambda model, cutoff: "only the knowledge cutoff was wanted",
                stop=lambda _: folder.end_cli(),
            )
            sessions.append(session)
            with proxy.session(session):
                reaching = {**environment, **session.environment}
                make = partial(_options, model, strategy, reaching, folder, stderr)
                await converse(folder, "Say nothing.", make, lambda _: None, stderr.append)

    async with anyio.create_task_group() as group:
        for model in models:
            group.start_soon(learn, model)
    if not all(session.cutoffs for session in sessions):
        reason = cleaned(stderr[-1], 400, addresses=False) if stderr else f"no request within {LIMIT_S} s"
        problem = f"The models' knowledge cutoffs could not be learnt from the agent CLI: {reason}."
        raise Misconfigured(problem, "`claude-trader doctor` says more.")
    return {model: cutoff for session in sessions for model, cutoff in session.cutoffs.items()}


def _options(
    model: str | None, strategy: Strategy, reaching: Mapping[str, str], folder: CliFolder, stderr: list[str]
) -> "ClaudeAgentOptions":
    from claude_agent_sdk import ClaudeAgentOptions

    environment = {**reaching, **CLI_SETTINGS, **folder.environment, **no_proxy()}
    environment |= folder.launch(bundled_cli(without_claude(strategy)), environment)
    return ClaudeAgentOptions(
        system_prompt="Say nothing.",
        tools=[],
        **SEALED,
        model=model,
        max_turns=1,
        env=environment,
        cwd=folder.cwd,
        cli_path=LAUNCHER,
        stderr=stderr.append,
    )
