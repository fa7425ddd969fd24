"""A recorded first reply of an orchestrator, and the same without the starts of some sub-agents."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.claude.cassette.cassettes import Recorded
from runner.claude.session import START_TOOL

_BETWEEN_EVENTS = re.compile(r"(?<=\n\n)|(?<=\n\r\n)")
_STREAM = "text/event-stream"

Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is sent at once: an event of a stream as its text, and as its values where it has some."""

    text: str
    event: Mapping[str, Any]

    @property
    def index(self) -> int | None:
        """The number of the block of content that it is part of."""
        kind = str(self.event.get("type"))
        return int(self.event["index"]) if kind.startswith("content_block") else None


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
    return "".join(_numbered(part, numbers) for part in _parts(recorded.reply) if part.index not in gone)


def _numbered(part: _Part, numbers: Mapping[int, int]) -> str:
    if part.index is None or numbers[part.index] == part.index:
        return part.text
    event = {**part.event, "index": numbers[part.index]}
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"


def _name_of(block: Block) -> str | None:
    is_start = block.get("type") == "tool_use" and block.get("name") == START_TOOL
    return str(block["input"].get("subagent_type")) if is_start else None


def _blocks(recorded: Recorded) -> Mapping[int, Block]:
    """Return the blocks of content of a reply, by their numbers; a call has its whole input."""
    if not recorded.content_type.startswith(_STREAM):
        return dict(enumerate(json.loads(recorded.reply).get("content", [])))
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for part in _parts(recorded.reply):
        if part.index is None:
            continue
        if part.event["type"] == "content_block_start":
            blocks[part.index] = dict(part.event["content_block"])
        delta = part.event.get("delta") or {}
        inputs[part.index] = inputs.get(part.index, "") + str(delta.get("partial_json", ""))
    for index, text in inputs.items():
        if text:
            blocks[index]["input"] = json.loads(text)
    return blocks


def _parts(reply: str) -> Iterator[_Part]:
    for text in _BETWEEN_EVENTS.split(reply):
        data = "\n".join(line[5:].strip() for line in text.splitlines() if line.startswith("data:"))
        if text:
            yield _Part(text, json.loads(data) if data else {})
