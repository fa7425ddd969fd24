from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import anyio.to_thread
from pydantic import Field, WithJsonSchema

from mcp_server.answers import MOST_BYTES, NOTE_BYTES, ROWS, TEXTS, Answer, size_of
from mcp_server.domain.strategy.difference import difference
from mcp_server.domain.strategy.parse import InvalidStrategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned, cleaned_values
from mcp_server.domain.timeframes import iso, iso_second, to_ms
from mcp_server.errors import NotFound
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.past import PastFiles, past_files
from mcp_server.storage.strategies.versions import Kept
from mcp_server.toolkit import Call, Kit, StrategyName, tool

if TYPE_CHECKING:
    from mcp_server.storage.journal.backtests import BacktestRow

MOST_VERSIONS, MOST_BACKTESTS = 20, 20

FIGURES = (
    *("return_pct", "buy_and_hold_pct", "sharpe", "sharpe_deflated", "trials", "max_drawdown_pct", "trades"),
    "controls",
)
JUST_NOW = timedelta(minutes=1)
OBJECTS = WithJsonSchema({"type": "array", "items": {"type": "object"}})


class StrategyFiles(Answer):
    """In the shape that write_strategy takes."""

    name: str
    version: str
    origin: Literal["home", "example", "replaced"]
    config: dict[str, Any]
    agents: dict[str, Any]
    earlier: Annotated[list[list[str]], ROWS] | None = Field(default=None, description="version, written at")
    changed_since: Annotated[list[str], TEXTS] | None = None
    """Up to the version that is in force."""
    backtests: Annotated[list[dict[str, Any]], OBJECTS] | None = None
    """The latest ones of its name; draft: of a version that was not kept."""
    note: str | None = None

    large: ClassVar[bool] = True

    def shortened(self, values: dict[str, Any], size: int) -> dict[str, Any]:
        """Cut the longest texts, and say that what was cut must not be written back."""
        for most in (10_000, 4_000, 1_000, 200):
            cut = {**values, **{file: cleaned_values(values[file], most) for file in ("config", "agents")}}
            if size_of(cut, self.text(cut)) < MOST_BYTES - NOTE_BYTES:
                note = f"Texts are cut to {most:,} characters: do not write this back. The files have {size:,} bytes."
                return {**cut, "note": " ".join(filter(None, [values.get("note"), note]))}
        return super().shortened(values, size)


@tool(title="Read a strategy", open_world=False, example={"strategy_name": "btc-two-analysts"})
async def read_strategy(
    call: Call,
    strategy_name: StrategyName,
    version: Annotated[str | None, Field(max_length=30, description="An earlier one, and what changed since")] = None,
    backtests: Annotated[bool | None, Field(description="The latest 20, with their controls")] = None,
) -> StrategyFiles:
    """Read a strategy's config and sub-agents. Do so before a change: write_strategy replaces both files."""
    moment = call.moment(None)
    then = moment if call.kit.clock() - moment >= JUST_NOW else None
    if then is not None and call.in_a_run:
        await anyio.to_thread.run_sync(_require_then, call.kit, strategy_name, version, then)
    files = await anyio.to_thread.run_sync(_read, call.kit, strategy_name, version, then)
    if backtests:
        made = await anyio.to_thread.run_sync(call.kit.journal.backtests.latest, strategy_name, moment, MOST_BACKTESTS)
        written = call.kit.strategies.written(strategy_name)
        known = {files.version, *(one.version for one in written if then is None or one.written_at <= then)}
        files = files.model_copy(update={"backtests": [_backtest(*one, known) for one in made]})
    return files


def _require_then(kit: Kit, name: str, version: str | None, then: datetime) -> None:
    """Check that a strategy was there at a past moment, in the version that is asked for.

    Raises:
        NotFound: it was not, or that is not known: a sub-agent is told nothing that was written later.
    """
    past, _ = _past(kit, name, then)
    if kit.strategies.is_example(name):
        return
    known = {past.strategy.version, *(one.version for one in past.earlier)} if past else set()
    if past is None or version not in (None, *known):
        what = f"version {version!r} of {name!r}" if version else f"{name!r}"
        raise NotFound(f"No {what} was there as of {iso_second(then)}.", "Decide without it.")


def _read(kit: Kit, name: str, version: str | None, then: datetime | None) -> StrategyFiles:
    """Read the files that are in force; `then` is the past moment that is asked for, None: it is now."""
    folders = kit.strategies
    past, later = (None, None) if then is None else _past(kit, name, then)
    if version is None:
        return _files(folders, past or PastFiles(folders.read(name), _kept(folders, name, later)), later)
    present, why = (past.strategy, None) if past else _present(folders, name)
    if present is not None and present.version == version:
        files = past or PastFiles(present, _kept(folders, name, later))
        return _files(folders, files, later).model_copy(update={"changed_since": []})
    old = folders.versions.read(name, version)
    return StrategyFiles(
        name=name,
        version=version,
        origin="replaced",
        config=old.config_json(),
        agents=old.agents_json(),
        changed_since=difference(old, present) if present else None,
        note=why or later,
    )


def _past(kit: Kit, name: str, then: datetime) -> tuple[PastFiles | None, str | None]:
    """Return the files that were in force at a past moment, and what a reader must know of them."""
    folders, when = kit.strategies, iso_second(then)
    if folders.is_example(name):
        return None, None
    past = past_files(folders, name, then, kit.journal.ran_version(name, then))
    if past is None:
        return None, f"Its files as of {when} are not known: these were written later."
    return past, f"These files were in force as of {when}."


def _present(folders: StrategyFolders, name: str) -> tuple[Strategy | None, str | None]:
    """Return the present strategy, or why the older one cannot be compared with it."""
    try:
        return folders.read(name), None
    except InvalidStrategy as error:
        return None, f"The present files cannot be compared. {error}"
    except NotFound:
        return None, "The strategy itself is gone; write_strategy with this content brings it back."


def _kept(folders: StrategyFolders, name: str, later: str | None) -> Sequence[Kept]:
    """Return the versions that were replaced; none where all files were written later than what is asked for."""
    return [] if later or folders.is_example(name) else folders.versions.of(name)


def _files(folders: StrategyFolders, files: PastFiles, note: str | None) -> StrategyFiles:
    strategy, example = files.strategy, folders.is_example(files.strategy.name)
    kept = [one for one in files.earlier if one.version != strategy.version]
    more = f"{len(kept)} earlier versions; the latest are listed." if len(kept) > MOST_VERSIONS else None
    return StrategyFiles(
        name=strategy.name,
        version=strategy.version,
        origin="example" if example else "home",
        config=strategy.config_json(),
        agents=strategy.agents_json(),
        earlier=[[one.version, iso_second(one.written_at)] for one in kept[:MOST_VERSIONS]] or None,
        note=" ".join(filter(None, [note, more])) or None,
    )


def _backtest(id_: int, row: "BacktestRow", known: Collection[str]) -> dict[str, Any]:
    """Return a backtest in short, under the names of its own answer."""
    figures = row.figures if isinstance(row.figures, Mapping) else {}
    version, summary = figures.get("version"), figures.get("summary")
    return {
        "backtest_id": id_,
        "created_at": iso_second(row.created_at),
        "version": version,
        "decision_version": row.decision_version,
        "draft": not isinstance(version, str) or version not in known,
        "symbol": row.family.symbol,
        "start": iso(to_ms(row.start)),
        "end": iso(to_ms(row.end)),
        **{name: getattr(row, name) for name in ("side", "fee_bps", "slippage_bps")},
        **{name: figures.get(name) for name in FIGURES},
        "summary": cleaned(str(summary[0]), 400) if isinstance(summary, list) and summary else None,
    }
