"""Logs on standard error: lines for a person at a terminal, one JSON object a line elsewhere.

Facts are fields: what a strategy's slot came to has `strategy`, `slot`, `outcome`, `price`, `duration_s`, `late_s` and
`cost_usd`, so that a program can search and sum. What is unknown is null. A secret of the settings never appears,
whoever logs it.
"""

import logging
import sys
from collections.abc import Iterable
from importlib import import_module

from mcp_server.domain.hidden_module import without
from mcp_server.domain.text import cleaned

# rich would only draw tracebacks, and takes 4 MB of a program that stays; ours are text already
without("rich", lambda: import_module("structlog"))
import structlog  # noqa: E402
from structlog.typing import EventDict, Processor, WrappedLogger  # noqa: E402

MOST_SHOWN, MOST_TRACE = 4_000, 100_000
"""Characters of a line's text, and of a traceback."""

HIDDEN = "[secret]"
SHORTEST = 6
"""To hide a shorter secret would hide ordinary words."""


def start_logging(secrets: Iterable[str], *, human: bool | None = None) -> None:
    """Send the logs of every part of the program to standard error.

    Args:
        secrets: what must never be shown.
        human: write lines for a person, else JSON; None: lines where standard error is a terminal.
    """
    human = sys.stderr.isatty() if human is None else human
    hide = _hiding([secret for secret in secrets if len(secret) >= SHORTEST])
    before: list[Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        *([] if human else [structlog.stdlib.add_logger_name]),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=True),
    ]
    written = (
        structlog.dev.ConsoleRenderer(colors=human, pad_event_to=0) if human else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide,
                _harmless,
                *([_without_unknown] if human else []),
                written,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("runner").setLevel(logging.INFO)


def _without_unknown(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave out of a line what is not known; a program is sent null."""
    return {key: value for key, value in event.items() if value is not None}


def _harmless(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take out what steers a terminal or hides words: errors quote exchanges, models and files."""
    return {
        key: cleaned(value, MOST_TRACE if key == "exception" else MOST_SHOWN, lines=True)
        if isinstance(value, str)
        else value
        for key, value in event.items()
    }


def _hiding(secrets: list[str]) -> Processor:
    def hide(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            if isinstance(value, str):
                for secret in secrets:
                    value = value.replace(secret, HIDDEN)  # noqa: PLW2901 (each secret in turn)
                event[key] = value
        return event

    return hide
