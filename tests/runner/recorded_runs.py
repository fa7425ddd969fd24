"""Runs of the real CLI through the recording proxy, on a cassette of one's own: recorded, and repeated from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp_server.domain.outcome import Outcome
from mcp_server.domain.strategy.run_prompts import sub_agent_prompt
from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cassette.cassettes import Cassette
from runner.claude.engine import run_claude
from runner.claude.proxy.session import Mode, Session
from runner.claude.recorder import ModelRecorder
from runner.claude.recording import recording_proxy
from tests.runner.claude_runs import AS_OF, KEY, strategy, task

NOWHERE = "http://127.0.0.1:9"
"""Nobody serves there: it is where the Messages API has ended."""


@dataclass(frozen=True)
class RecordedRun:
    """A run that has ended, and how it went through the proxy."""

    outcome: Outcome
    session: Session


async def run_on(
    cassette: Cassette | None,
    server_url: str,
    api_url: str = NOWHERE,
    what: Strategy | None = None,
    *,
    as_of: datetime = AS_OF,
    mode: Mode = "record",
    key: str = "a run",
    environment: Mapping[str, str] | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    prepare: Callable[[Session], None] = lambda _: None,
    **recorder: Any,
) -> RecordedRun:
    """Let a strategy run once through a proxy, with a cassette; a rerun has neither a credential nor an API."""
    sessions: list[Session] = []
    if environment is None:
        environment = {} if mode == "rerun" else {"ANTHROPIC_BASE_URL": api_url, "ANTHROPIC_API_KEY": KEY}
    async with recording_proxy(environment) as proxy:

        def noted(session: Session) -> None:
            sessions.append(session)
            prepare(session)

        own = ModelRecorder(proxy, cassette, mode, prepare=noted, **recorder)
        outcome = await run_claude(
            task(
                api_url,
                server_url,
                what or strategy(),
                as_of=as_of,
                environment=environment,
                recorder=own,
                run_key=key,
                on_event=on_event,
            )
        )
    return RecordedRun(outcome, *sessions)


def prompts_of(what: Strategy) -> list[str]:
    """Return what each sub-agent of a strategy is told at the moment of these runs."""
    return [sub_agent_prompt(what, name, "simulated", AS_OF) for name in what.agents]
