"""A tool as the server offers it: its arguments are checked strictly, and its answer is sent in both forms."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from pydantic import PrivateAttr, ValidationError, create_model

from mcp_server.answers import MOST_BYTES, Answer, Picture, error_result
from mcp_server.domain.error_hints import invalid_keys
from mcp_server.domain.strategy.agents import NOT_FOR_AGENTS
from mcp_server.errors import BadInput, Retryable, TraderError
from mcp_server.moment import WORK_S
from mcp_server.seen_calls import SeenCalls, succeeded
from mcp_server.slim_schema import slim_input, slim_output
from mcp_server.toolkit import CLIENT_KEY, CUT_S, Call, Kit, ToolFile
from mcp_server.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_MISTAKES = 3
"""So many wrong arguments are listed by an error."""


class StrictTool(Tool):
    """A tool that refuses arguments it does not know, says how to mend them, and sends each fact once per form."""

    _kit: Kit = PrivateAttr()
    _turns: Turns = PrivateAttr()
    _seen_calls: SeenCalls | None = PrivateAttr()

    @classmethod
    def of(cls, file: ToolFile, kit: Kit, seen_calls: SeenCalls | None = None, *, pages: bool = True) -> StrictTool:
        """Make the tool of a tool file, bound to the parts it works with and, if it only looks, to what was seen.

        Without `pages` it names no page that shows its answers.
        """
        made = cls._unbound(file, file.page if pages else None).model_copy()
        made._kit = kit
        made._turns = Turns(made.name, file.at_a_time)
        made._seen_calls = seen_calls if file.looks else None
        return made

    @classmethod
    @cache  # schemas take most of a server's composing, and a process may compose several
    def _unbound(cls, file: ToolFile, page: str | None) -> StrictTool:
        """Make it as `Tool.from_function` would, but each model and each schema once."""
        name, signature = file.function.__name__, inspect.signature(file.function, eval_str=True)
        _, *parameters = signature.parameters.values()
        fields: dict[str, Any] = {
            parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
            for parameter in parameters
        }
        strict = {"extra": "forbid"}
        arguments = create_model(f"{name}Arguments", __base__=ArgModelBase, __cls_kwargs__=strict, **fields)
        answer = signature.return_annotation
        meta: dict[str, Any] = {} if file.for_agents else {NOT_FOR_AGENTS: True}
        if page:  # the second key is that of older hosts
            uri = f"ui://claude-trader/{page}.html"
            meta |= {"ui": {"resourceUri": uri}, "ui/resourceUri": uri}
        if answer.large:
            meta["anthropic/maxResultSizeChars"] = 2 * MOST_BYTES  # hosts may write characters as longer ones
        schema = None if issubclass(answer, Picture) else slim_output(answer.model_json_schema())
        checks = FuncMetadata(arg_model=arguments, output_schema=schema, output_model=schema and answer)
        return cls(
            fn=file.function, name=name, title=file.title, description=file.description, annotations=file.annotations,
            parameters=slim_input(arguments.model_json_schema()), fn_metadata=checks, is_async=True,
            context_kwarg="call", meta=meta or None,
        )  # fmt: skip

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Check the arguments, call the function, and put its answer into both forms that hosts read.

        Raises:
            ToolError: the arguments are wrong, or the function raised a `TraderError`; the text says what to do.
        """
        given = self._given(arguments)
        try:
            checked = self._checked(given)
        except BadInput as error:
            raise ToolError(str(error)) from error
        caller = _caller(context)
        sent = (context.headers or {}, self._turns, f"{caller} {_program(context)}", caller, frozenset(given))
        call = Call(self._kit, *sent, tell=context.report_progress)
        runs = self._seen_calls.watched() if self._seen_calls else ()
        try:
            with anyio.CancelScope(deadline=call.until + CUT_S) as scope:
                answer = await self.fn(call=call, **checked)
            if scope.cancelled_caught:
                raise Retryable(f"{self.name} did not end within {WORK_S:g} seconds.", "Try again, or ask for less.")
            result = await anyio.to_thread.run_sync(answer.result) if convert_result else answer
            if self._seen_calls and runs and not call.in_a_run:
                self._seen_calls.note(runs, caller, succeeded(self.name, given, answer.structured()))
            return result
        except TraderError as error:
            if convert_result:
                return error_result(error)
            raise ToolError(str(error)) from error
        except Exception as error:
            raise UnexpectedToolError(f"{self.name} failed unexpectedly; the server's log says more") from error

    async def answer(self, arguments: dict[str, Any], headers: Mapping[str, str], within_s: float) -> Answer:
        """Check the arguments and call the function, for a caller within this process.

        Args:
            arguments: as a host sends them.
            headers: what a caller over HTTP may say beside them.
            within_s: how long it may take.

        Raises:
            BadInput: the arguments are wrong.
            TraderError: what the function raises.
        """
        given = self._given(arguments)
        until = anyio.current_time() + within_s
        call = Call(self._kit, headers, self._turns, given=frozenset(given), until=until)
        answer: Answer = await self.fn(call=call, **self._checked(given))
        return answer

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function takes them.

        Raises:
            BadInput: some are wrong.
        """
        try:
            return self.fn_metadata.validate_arguments(given)
        except ValidationError as error:
            lines = [str(key) for key in invalid_keys(error, self.fn_metadata.arg_model, noun="argument")]
            more = [f"And {len(lines) - MOST_MISTAKES} more like these."] if len(lines) > MOST_MISTAKES else []
            raise BadInput(f"{self.name}: " + "\n".join(lines[:MOST_MISTAKES] + more)) from error

    def _given(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Leave out optional arguments that are null or blank: many hosts send these for what was not given."""
        fields = self.fn_metadata.arg_model.model_fields
        return {
            name: value
            for name, value in self.fn_metadata.pre_parse_json(arguments).items()
            if name not in fields or fields[name].is_required() or not _blank(value)
        }


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _caller(context: Context[Any, Any]) -> str:
    """Return whose call it is: the token or the address that the gate let in; "" over standard input."""
    scope = getattr(context.request_context.request, "scope", None) or {}
    return str(scope.get(CLIENT_KEY, ""))


def _program(context: Context[Any, Any]) -> str:
    """Return the name of the program that calls."""
    client = context.session.client_params
    return client.client_info.name if client else ""
