"""A stand-in for the model services that other hosts ask, on loopback: OpenAI's two interfaces and Gemini's.

Its model asks for the calls of a script, one a turn, under whatever names the host offers the tools, and then says
"done". It keeps the answers of the calls as the host passed them on to the model.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]

Call = tuple[str, Json]
"""A tool's name and its arguments."""


@dataclass
class Models:
    """What the model is to call, and what the host let it see.

    Attributes:
        offered: names of the tools that the model was offered, as the host writes them.
        answers: for each call made so far, what came back, as JSON text.
    """

    script: Sequence[Call]
    offered: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/v1beta/models/{method:path}", self._gemini, methods=["POST"]),
            ]
        )

    def _next(self, names: list[str], answers: list[Any]) -> tuple[str, Json] | None:
        """Keep what the host sent, and return the next call under the host's own name for the tool."""
        offered = {name: wanted for wanted, _ in self.script for name in names if name.endswith(wanted)}
        if offered:
            self.offered, self.answers = names, [json.dumps(answer) for answer in answers]
        if not offered or len(answers) == len(self.script):
            return None
        tool, arguments = self.script[len(answers)]
        return next(name for name, wanted in offered.items() if wanted == tool), arguments

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        answers = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        call = self._next([tool["function"]["name"] for tool in body.get("tools", [])], answers)
        message: Json = {"role": "assistant", "content": None if call else "done"}
        if call:
            function = {"name": call[0], "arguments": json.dumps(call[1])}
            message["tool_calls"] = [{"id": f"call_{len(answers)}", "type": "function", "function": function}]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop", "logprobs": None}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return JSONResponse(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        )

    async def _responses(self, request: Request) -> Response:
        body = await request.json()
        entries = body["input"] if isinstance(body["input"], list) else []
        answers = [entry["output"] for entry in entries if entry.get("type") == "function_call_output"]
        tools = {tool["name"]: None for tool in body.get("tools", []) if tool.get("type") == "function"}
        for group in body.get("tools", []):
            if group.get("type") == "namespace":
                tools |= {tool["name"]: group["name"] for tool in group["tools"]}
        call = self._next(list(tools), answers)
        if call:
            output: Json = {
                "type": "function_call", "id": f"fc_{len(answers)}", "call_id": f"call_{len(answers)}", "name": call[0],
                "arguments": json.dumps(call[1]), "status": "completed",
            }  # fmt: skip
            if space := tools[call[0]]:
                output["namespace"] = space
        else:
            text = {"type": "output_text", "text": "done", "annotations": []}
            output = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
        usage = {
            "input_tokens": 1, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2,
        }  # fmt: skip
        response: Json = {
            "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [output],
            "parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "usage": usage,
        }  # fmt: skip
        if not body.get("stream"):
            return JSONResponse(response)
        begun = {**response, "output": [], "status": "in_progress", "usage": None}
        events: list[Json] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": output},
            {"type": "response.output_item.done", "output_index": 0, "item": output},
            {"type": "response.completed", "response": response},
        ]
        return _events({**event, "sequence_number": number} for number, event in enumerate(events))

    async def _gemini(self, request: Request) -> Response:
        body = await request.json()
        if request.url.path.endswith("countTokens"):
            return JSONResponse({"totalTokens": 1})
        contents = body.get("contents", [])
        answers = [
            content["parts"] for content in contents if any("functionResponse" in part for part in content["parts"])
        ]
        names = [tool["name"] for group in body.get("tools", []) for tool in group.get("functionDeclarations", [])]
        call = self._next(names, answers)
        part: Json = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": "done"}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        answer = {
            "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage, "modelVersion": "stand-in",
        }  # fmt: skip
        return _events([answer]) if "stream" in request.url.path else JSONResponse(answer)


def _events(events: Any) -> Response:
    def lines() -> Iterator[str]:
        for event in events:
            head = f"event: {event['type']}\n" if "type" in event else ""
            yield f"{head}data: {json.dumps(event)}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
