"""Decides from a transcript how a run by Claude ended: what is not proven is never a signal."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal

from pydantic import ValidationError

from mcp_server.domain.error_hints import invalid_keys
from mcp_server.domain.outcome import Blame, Outcome, Signal, Status
from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.evidence import unheard, unreported
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned, dollars
from runner.claude.trace import tokens_used, trace_of, without
from runner.claude.transcript import Ending, Transcript

CONNECTED = "connected"

API_FAILURES: Mapping[int, str] = {
    400: "it refused the request: check the strategy's 'model'",
    401: "it refused the credential: set a valid ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN",
    402: "the account has no credit, or has reached its limit: add credit, or raise the limit",
    403: "the credential may not do this: use one that may",
    404: "it does not know the model: check the strategy's 'model'",
    413: "the request was too large: let fewer sub-agents report, or shorter",
    429: "the rate limit is reached: run less often or raise the account's limit",
    500: "it had an internal error: the same run may work later",
    503: "it is unavailable: the same run may work later",
    529: "it is overloaded: the same run may work later",
}


_THE_STRATEGYS = frozenset((400, 404, 413))
"""The refusals of the API that a strategy is to blame for; it is not for an outage, a limit or a credential."""

_OF_THE_ACCOUNT = re.compile("credit balance|usage limit|billing", re.IGNORECASE)

SILENT_S = 60
"""A model that has not replied once for so long is not reachable, whatever the strategy asks of it."""


class _NoSignal(Exception):
    def __init__(self, status: Status, why: str, blame: Blame | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.blame = blame


def conclude(
    transcript: Transcript,
    strategy: Strategy,
    secrets: frozenset[str],
    *,
    in_time: bool,
    limit_s: int | None = None,
    drift: str | None = None,
) -> Outcome:
    """Return the outcome of a run with its trace; neither contains a secret.

    Args:
        transcript: what happened.
        strategy: whose run it was.
        secrets: what no text may contain.
        in_time: False where its time ran out.
        limit_s: how long it was allowed to take; None: as long as the strategy says.
        drift: what a rerun asked that is not on its cassette, if it did.
    """
    status, signal, error, blame = Status.SUCCESS, None, None, None
    try:
        if drift is not None:
            raise _NoSignal(Status.DRIFT, drift)
        limit = None if in_time else limit_s or strategy.config.timeout_s
        signal = _signal(transcript, strategy, limit)
    except _NoSignal as ended:
        status, error, blame = ended.status, without(ended.why, secrets), ended.blame
    ending = transcript.ending
    tokens = tokens_used(ending.model_usage) if ending else None
    cost = ending.cost_usd if ending and tokens is not None else None
    if not transcript.cli_started:
        tokens, cost = 0, 0.0
    if cost is not None and not (math.isfinite(cost) and cost >= 0):
        cost = None  # it is no cost, and must not make room in a budget
    return Outcome(
        status=status,
        signal=signal,
        error=error,
        model=transcript.model or strategy.config.model,
        tokens_used=tokens,
        cost_usd=None if cost is None else Decimal(str(round(cost, 8))),
        trace=trace_of(transcript, strategy.agents, secrets),
        blame=blame,
    )


def _signal(transcript: Transcript, strategy: Strategy, exceeded_s: int | None) -> Signal:
    if transcript.server_status not in (None, CONNECTED):
        raise _NoSignal(
            Status.ERROR,
            f"The agent could not reach the tool server (it is {transcript.server_status!r}). Check that the server "
            "runs and that TRADER_TOKEN is the one it expects.",
            blame="outside",
        )
    if transcript.session is not None and transcript.session.refused is not None:
        raise _NoSignal(Status.ERROR, transcript.session.refused, blame="runner")
    if transcript.ending is None:
        raise _unfinished(transcript, exceeded_s)
    _check_ending(transcript.ending, strategy)
    _check_reports(transcript, strategy)
    signal = _answered(transcript.ending)
    _check_heard(transcript, strategy)
    return signal


def _unfinished(transcript: Transcript, exceeded_s: int | None) -> _NoSignal:
    if exceeded_s is not None:
        silent = exceeded_s >= SILENT_S and transcript.tokens(None) is None
        missing = [f"{agent.name} {agent.missing}" for agent in transcript.starts.values() if agent.missing]
        state = f" ({'; '.join(missing)})" if missing else ""
        return _NoSignal(
            Status.TIMEOUT,
            f"The run took longer than {exceeded_s} s{state}. Raise 'timeout_s', or give the sub-agents less to do.",
            blame="outside" if silent else "strategy",
        )
    reason = transcript.failure or (transcript.stderr[-1] if transcript.stderr else "it gave no reason")
    if not transcript.cli_started:
        why = f"The agent CLI could not be started: {_short(reason)} `claude-trader doctor` says more."
        return _NoSignal(Status.ERROR, why, blame="outside")
    return _NoSignal(Status.ERROR, f"The agent CLI ended before it answered: {_short(reason)}")


def _check_ending(ending: Ending, strategy: Strategy) -> None:
    config = strategy.config
    if ending.subtype == "error_max_turns":
        why = f"The orchestrator used up its turns ('max_turns' is {config.max_turns}) before it answered. Raise it."
        raise _NoSignal(Status.ERROR, why)
    if ending.subtype == "error_max_budget_usd":
        why = (
            f"The run's budget of {dollars(usd_per_run(strategy))} USD was spent before it answered. "
            "Raise 'budget.usd_per_run', or use a cheaper 'model'."
        )
        raise _NoSignal(Status.ERROR, why)
    if ending.subtype == "error_max_structured_output_retries":
        why = f"No answer fitted the schema: {_short(' '.join(ending.errors) or 'all tries were refused')}"
        raise _NoSignal(Status.ABSTAINED, why)
    if ending.is_error or ending.api_error_status is not None or ending.subtype != "success":
        reason = " ".join((*ending.errors, ending.text or "")).strip() or ending.subtype
        meant = meaning(ending.api_error_status, reason)
        blame: Blame = "strategy" if meant in _THE_STRATEGYS else "outside"
        raise _NoSignal(Status.ERROR, api_failure(ending.api_error_status, meant, reason), blame)


def meaning(status: int | None, reason: str) -> int | None:
    """Return what a status of the API means: one of 400 is 402 where it refuses an account, and not the request."""
    return 402 if status == 400 and _OF_THE_ACCOUNT.search(reason) else status


def api_failure(status: int | None, meant: int | None = None, reason: str = "") -> str:
    """Say how the API failed: its status, and the remedy for what that status means here.

    Args:
        status: what it answered; None where it did not.
        meant: the status that fits what it said, where that is another one.
        reason: what it said, for a status that is not known here.
    """
    if status is None:
        return f"Claude's API could not be used: {_short(reason)}"
    return f"Claude's API answered {status}: {API_FAILURES.get(meant or status, _short(reason))}."


def _check_reports(transcript: Transcript, strategy: Strategy) -> None:
    if missing := unreported(strategy.agents, transcript.starts.values()):
        raise _NoSignal(Status.ABSTAINED, f"Not every sub-agent reported: {'; '.join(missing)}.")


def _check_heard(transcript: Transcript, strategy: Strategy) -> None:
    if late := unheard(strategy.agents, transcript.starts.values()):
        names = ", ".join(map(repr, late))
        raise _NoSignal(Status.ABSTAINED, f"The answer was given before there was a report of {names}.")


def _answered(ending: Ending) -> Signal:
    """Return the signal of the answer, checked again: only the CLI says that the answer came through the schema."""
    if ending.answer is None:
        raise _NoSignal(Status.ABSTAINED, "The orchestrator answered in plain text, not by the schema.")
    try:
        answer = ClaudeAnswer.model_validate(ending.answer)
    except ValidationError as error:
        findings = "; ".join(map(str, invalid_keys(error, ClaudeAnswer)))
        raise _NoSignal(Status.ABSTAINED, f"The answer does not fit the schema: {_short(findings)}") from None
    if not answer.decided:
        raise _NoSignal(Status.ABSTAINED, f"The reports did not suffice to decide: {_short(answer.reasoning)}")
    return answer.as_signal()


def _short(text: str) -> str:
    """Return what fits in a line of a report, without addresses."""
    return cleaned(text, 400, addresses=False)
