"""Rules of several strategies, evaluated in one request: for the runner that started this server, and nobody else.

An extension of MCP, so that no host pays for it. Each strategy is answered as `evaluate_strategy` answers for it, or
not at all: then the runner asks that tool. So no strategy waits long for another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND, RequestParams
from pydantic import BaseModel

from mcp_server.domain.strategy.rules_outcome import TOGETHER
from mcp_server.toolkit import CLIENT_KEY, RUNNER, Call, Kit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import ServerRequestContext


class AskedEvaluation(BaseModel):
    """The rules of a strategy's version, on the last candle that was closed at a moment."""

    strategy_name: str
    version: str
    as_of: str


class EvaluationsParams(RequestParams):
    """What is asked for in one request: strategies of one market."""

    asked: list[AskedEvaluation]


class Evaluations(Extension):
    """Adds the method to a server that a runner has started."""

    identifier = TOGETHER

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def methods(self) -> Sequence[MethodBinding]:
        """Return the method."""
        return [MethodBinding(TOGETHER, EvaluationsParams, self._answer)]

    async def _answer(self, context: ServerRequestContext[Any, Any], params: EvaluationsParams) -> dict[str, Any]:
        scope = getattr(context.request, "scope", None) or {}
        if scope.get(CLIENT_KEY) != RUNNER:  # limits count requests, and this is many in one
            raise MCPError(code=METHOD_NOT_FOUND, message="Only the runner that started this server may call this.")
        from mcp_server.evaluation_batch import Batch  # a server starts sooner without it

        batch = Batch(Call(self._kit), params.asked)
        await batch.evaluate()
        return {
            "resultType": "complete",
            "answers": [batch.answers.get(place, {}) for place in range(len(params.asked))],
        }
