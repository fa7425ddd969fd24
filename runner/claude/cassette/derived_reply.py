"""A recorded first reply of an orchestrator, and the same without the starts of some sub-agents."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from runner.claude.cassette.cassettes import Recorded
from runner.claude.cassette.reply_events import ReplyEvent, reply_events
from runner.claude.session import START_TOOL

_STREAM = "text/event-stream"

Block = Mapping[str, Any]


def started(recorded: Recorded) -> list[str] | None:
    """Return which sub-agents a reply starts, by their names; None where it does anything else."""
    if recorded.status != 200:
        return None
    calls = [block for block in _blocks(recorded).values() if block.get("type") == "tool_use"]
    if any(call.get("name") != START_TOOL for call in calls):
        return None
    return [str(call["input"].get("subagent_type")) for call in calls]


def without_starts(recorded: Recorded, names: Collection[str]) -> str:
    """Return a reply without the starts of these sub-agents; what is left is numbered anew, and else as it came."""
    blocks = _blocks(recorded)
    gone = {index for index, block in blocks.items() if _name_of(block) in names}
    numbers = {index: number for number, index in enumerate(index for index in sorted(blocks) if index not in gone)}
    if not recorded.content_type.startswith(_STREAM):
        message = json.loads(recorded.reply)
        return json.dumps({**message, "content": [blocks[index] for index in numbers]}, ensure_ascii=False)
    return "".join(_numbered(event, numbers) for event in reply_events(recorded.reply) if event.index not in gone)


def _numbered(event: ReplyEvent, numbers: Mapping[int, int]) -> str:
    if event.index is None or numbers[event.index] == event.index:
        return event.text
    values = {**event.values, "index": numbers[event.index]}
    return f"event: {values['type']}\ndata: {json.dumps(values, ensure_ascii=False)}\n\n"


def _name_of(block: Block) -> str | None:
    is_start = block.get("type") == "tool_use" and block.get("name") == START_TOOL
    return str(block["input"].get("subagent_type")) if is_start else None


def _blocks(recorded: Recorded) -> Mapping[int, Block]:
    """Return the blocks of content of a reply, by their numbers; a call has its whole input."""
    if not recorded.content_type.startswith(_STREAM):
        return dict(enumerate(json.loads(recorded.reply).get("content", [])))
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in reply_events(recorded.reply):
        if event.index is None:
            continue
        if event.values["type"] == "content_block_start":
            blocks[event.index] = dict(event.values["content_block"])
        delta = event.values.get("delta") or {}
        inputs[event.index] = inputs.get(event.index, "") + str(delta.get("partial_json", ""))
    for index, text in inputs.items():
        if text:
            blocks[index]["input"] = json.loads(text)
    return blocks
