"""What to note of a strategy that came, changed or went: from when its slots count, and which of them were missed.

Pure: the moments are arguments.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import ValidationError

from mcp_server.domain.outcome import SlotRow
from mcp_server.domain.schedule.plan import missed
from mcp_server.domain.strategy.format import Config
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.journal.slots import ASTRAY, Change
from runner.scheduler.strategy_watch import FolderState

logger = logging.getLogger(__name__)

EDITED = "It had not run when the schedule was changed."


def change_of(
    name: str,
    folder: FolderState | None,
    stored: StoredSchedule | None,
    accounted_until: datetime | None,
    looked_at: datetime | None,
    now: datetime,
) -> Change | None:
    """Return what to note of a strategy, of which the journal knows `stored`; None: there is nothing to note.

    Without a `folder` it is gone. `accounted_until` is there if it is scheduled already, `looked_at` if this is not the
    first look at the folders.
    """
    if folder is None or folder.strategy is None:
        return Change(name, None, None, ()) if stored and stored.config is not None else None
    strategy = folder.strategy
    # A file may be put back with its old dates: at the last look it was not there.
    changed_at = min(max(folder.changed_at, looked_at or folder.changed_at), now)
    until = accounted_until or (stored.accounted_until if stored else now)
    if until - now > ASTRAY:
        until = now
    config = stored.config if stored else None
    before = None if config is None else _read(name, config)
    passed: Sequence[SlotRow] = []
    since = stored.since if stored else now
    active = strategy.config.status == "active"
    if before is not None and (not active or not _same_schedule(before, strategy.config)):
        passed = missed(before, until, max(until, changed_at), EDITED)
        until = max(until, changed_at)
    elif config is None:
        until = since = max(until, changed_at) if stored else now
    if not active and config is None:
        return None
    as_noted = stored is not None and (stored.version, stored.accounted_until) == (strategy.version, until)
    start = stored.accounted_from if stored and as_noted else until
    schedule = StoredSchedule(strategy.config_json() if active else None, since, until, strategy.version, start)
    return Change(name, strategy, schedule, passed)


def _read(name: str, config: Mapping[str, object]) -> Config | None:
    """Read a schedule that was noted; None where an older version noted what this one refuses."""
    try:
        return Config.model_validate(config)
    except ValidationError:
        logger.warning("the noted schedule of %s cannot be read: its slots go on by the present one", name)
        return None


def _same_schedule(one: Config, other: Config) -> bool:
    keys = ("interval", "cron", "timezone", "offset_s")
    return all(getattr(one, key) == getattr(other, key) for key in keys)
