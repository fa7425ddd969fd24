"""The events of a reply that the Messages API streams."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_END = re.compile(r"\n\r?\n")


@dataclass(frozen=True, slots=True)
class ReplyEvent:
    """One event: its text as it was sent, and its values; what is no event of the API has none."""

    text: str
    values: Mapping[str, Any]

    @property
    def index(self) -> int | None:
        """The number of the block of content that it is part of."""
        return int(self.values["index"]) if str(self.values.get("type")).startswith("content_block") else None


def reply_events(reply: str) -> Iterator[ReplyEvent]:
    """Yield the events that are whole: an empty line ends each."""
    begins = 0
    for end in _END.finditer(reply):
        text, begins = reply[begins : end.end()], end.end()
        data = "\n".join(line[5:].strip() for line in text.splitlines() if line.startswith("data:"))
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            values = None
        yield ReplyEvent(text, values if isinstance(values, dict) else {})
