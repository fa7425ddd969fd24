"""The files that a backtest writes: checked before anything is computed, and never left half written."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from mcp_server.errors import BadInput
from mcp_server.storage.files import write_whole

TRADE_KEYS = (
    *("side", "decided_at", "entry_time", "entry_price", "exit_time", "exit_price", "return_pct", "fees", "funding"),
    "open",
)


def check_target(option: str, file: Path | None, ending: str) -> None:
    """Refuse a file that could not be written in the end: by its name, its folder or this user's rights.

    Raises:
        BadInput: it ends otherwise, its folder is missing or cannot be written, or it is a folder.
    """
    if file is None:
        return
    if file.suffix.lower() != ending:
        raise BadInput(f"{option} {str(file)!r} does not end in {ending}.", f"Name a file like result{ending}")
    if not file.parent.is_dir():
        raise BadInput(f"There is no folder {str(file.parent)!r}.", "Create it, or name another folder.")
    if file.is_dir():
        raise BadInput(f"{option} {str(file)!r} is a folder.", "Name a file.")
    probe = file.with_name(f".{uuid4().hex}.new")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise _unwritable(file, error) from None


def write(file: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        write_whole(file, content)
    except OSError as error:
        raise _unwritable(file, error) from None


def trades_csv(trades: Iterable[Mapping[str, Any]]) -> bytes:
    """Return trades as CSV; what is undefined, such as the exit of an open trade, is an empty field."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(TRADE_KEYS)
    rows.writerows([_field(trade.get(key)) for key in TRADE_KEYS] for trade in trades)
    return text.getvalue().encode()


def _field(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _unwritable(file: Path, error: OSError) -> BadInput:
    return BadInput(
        f"{str(file)!r} cannot be written: {error.strerror or error}.", "Name a folder that this user can write."
    )
