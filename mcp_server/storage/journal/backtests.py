"""Backtests in the journal: a row for each, and the trials of a family, by which a Sharpe ratio is deflated."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.backtest.worth import Trial
from mcp_server.domain.timeframes import from_ms, naive
from mcp_server.errors import NotFound
from mcp_server.storage.sql import JournalDatabase, SqlConnection

if TYPE_CHECKING:
    from mcp_server.domain.backtest.run import BacktestTask

DRAFT = "draft"
"""The name, in a family, of a config that has none."""

_COLUMNS = (
    'family, decision_version, config, start, "end", side, fee_bps, slippage_bps, stake_pct, sharpe_per_period, '
    "figures, created_at"
)

_TRIED = (  # not the configs themselves: a family may have thousands
    "SELECT decision_version, side, fee_bps, slippage_bps, sharpe_per_period, "
    "coalesce(config->'rules'->>'timeframe', config->>'interval'), start, \"end\", created_at "
    "FROM backtests WHERE family = ? ORDER BY id"
)

_UNRECORDED = ("description", "synthesis_logic")
"""Keys of a config that decide nothing in a backtest, and may be 80,000 bytes long: rows would fill the disk."""

_AT_A_TIME = 50
"""So many rows are inserted by one statement: one by one, a large sweep would hold the file for many seconds."""


@dataclass(frozen=True, slots=True)
class Family:
    """What is tried again and again until it looks good: a name on a market."""

    exchange: str
    symbol: str
    name: str = DRAFT

    def __str__(self) -> str:
        return f"{self.exchange} {self.symbol} {self.name}"

    @classmethod
    def of(cls, text: str) -> "Family":
        """Read back what `str` wrote."""
        exchange, _, rest = text.partition(" ")
        symbol, _, name = rest.rpartition(" ")
        return cls(exchange, symbol, name)


@dataclass(frozen=True, slots=True)
class BacktestRow:
    """One backtest, with all that is needed to run it again. Times are aware; `stake_pct` None is the whole equity.

    `config` is config.json as it was computed; its long texts, which decide nothing, are not recorded.
    `sharpe_per_period` is None where it is undefined.
    """

    family: Family
    decision_version: str
    config: Mapping[str, Any]
    start: datetime
    end: datetime
    side: Literal["long", "both"]
    fee_bps: float
    slippage_bps: float
    stake_pct: float | None
    sharpe_per_period: float | None
    figures: Mapping[str, Any]
    created_at: datetime

    @classmethod
    def of(
        cls, task: "BacktestTask", start_ms: int, end_ms: int, sharpe_per_period: float | None, now: datetime
    ) -> "BacktestRow":
        """Make the row of what was computed, without its figures, which depend on the trials of its family.

        Args:
            task: what was computed.
            start_ms: where its candles begin (Unix ms).
            end_ms: where they end (Unix ms).
            sharpe_per_period: that of each candle, not annual; None: undefined.
            now: when it counts as made.
        """
        return cls(
            family=Family(task.exchange, task.symbol, task.strategy.config.name or DRAFT),
            decision_version=task.strategy.decision_version(task.exchange),
            config=task.strategy.config_json(),
            start=from_ms(start_ms),
            end=from_ms(end_ms),
            side=task.assumptions.side,
            fee_bps=task.assumptions.fee_bps,
            slippage_bps=task.assumptions.slippage_bps,
            stake_pct=task.assumptions.stake_pct,
            sharpe_per_period=sharpe_per_period,
            figures={},
            created_at=now,
        )

    @property
    def timeframe(self) -> str:
        """The timeframe of its candles: that of its rules, else the interval."""
        return str((self.config.get("rules") or {}).get("timeframe") or self.config.get("interval"))

    def __post_init__(self) -> None:
        """Refuse what is no number: it would count in every later figure of the family."""
        numbers = (self.fee_bps, self.slippage_bps, self.stake_pct, self.sharpe_per_period)
        if not all(number is None or isfinite(number) for number in numbers):
            raise ValueError(f"a backtest's row holds a number that is not finite: {numbers}")


@dataclass(frozen=True, slots=True)
class TriedVariant(Trial):
    """A variant that was tried. The Sharpe ratio is that of its longest backtest, by candles of `timeframe`."""

    decision_version: str
    side: str
    fee_bps: float
    slippage_bps: float

    def is_of(self, row: BacktestRow) -> bool:
        """Return whether a backtest is one of this variant."""
        mine = (self.decision_version, self.side, self.fee_bps, self.slippage_bps)
        return mine == (row.decision_version, row.side, row.fee_bps, row.slippage_bps)


@dataclass(frozen=True, slots=True)
class RecordedBacktest:
    """The id of a row that was added, and the trials of its family, its own among them."""

    id: int
    trials: tuple[TriedVariant, ...]


FiguresOf = Callable[[BacktestRow, Sequence[TriedVariant]], Mapping[str, Any]]


class Backtests:
    """The backtests of one home. Every method raises what `Database` raises; then nothing has changed."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def record(self, rows: Sequence[BacktestRow], figures: FiguresOf | None = None) -> list[RecordedBacktest]:
        """Add rows, in one transaction; return for each its id and the trials, with all of these rows among them.

        Args:
            rows: in the order in which they get their ids.
            figures: gives a row's `figures` once its trials are known, as a deflated Sharpe ratio depends on them. It
                may be called twice, and touches nothing but what it is given.
        """

        def work(connection: SqlConnection) -> list[RecordedBacktest]:
            trials = {family: _trials(connection, family, rows) for family in {row.family for row in rows}}
            whole = [row if figures is None else replace(row, figures=figures(row, trials[row.family])) for row in rows]
            ids = [
                id_ for at in range(0, len(whole), _AT_A_TIME) for id_ in _insert(connection, whole[at:][:_AT_A_TIME])
            ]
            return [RecordedBacktest(id_, trials[row.family]) for id_, row in zip(ids, rows, strict=True)]

        return self._database.write(work)

    def read(self, backtest_id: int, until: datetime) -> BacktestRow:
        """Return one backtest.

        Raises:
            NotFound: there is none of this id, or none was made by `until`.
        """

        def work(connection: SqlConnection) -> tuple[Any, ...] | None:
            query = f"SELECT {_COLUMNS} FROM backtests WHERE id = ? AND created_at <= ?"  # noqa: S608 - ours
            return connection.execute(query, [backtest_id, naive(until)]).fetchone()

        row = self._database.read(work)
        if row is None:
            raise NotFound(
                f"There is no backtest {backtest_id}.", "Take the backtest_id of an answer of backtest_strategy."
            )
        return _row(row)

    def latest(self, name: str, until: datetime, limit: int) -> list[tuple[int, BacktestRow]]:
        """Return the latest backtests of a strategy of this name, on any market, each with its id; the latest first."""

        def work(connection: SqlConnection) -> list[tuple[Any, ...]]:
            query = (
                f"SELECT id, {_COLUMNS} FROM backtests WHERE family LIKE ? AND created_at <= ? "  # noqa: S608 - ours
                "ORDER BY created_at DESC, id DESC LIMIT ?"
            )
            return connection.execute(query, [f"% {name}", naive(until), limit]).fetchall()

        return [(row[0], _row(row[1:])) for row in self._database.read(work)]

    def trials(self, family: Family) -> tuple[TriedVariant, ...]:
        """Return what was ever tried of a family: each distinct (decision_version, side, costs) once."""
        return self._database.read(lambda connection: _trials(connection, family))


def _insert(connection: SqlConnection, rows: Sequence[BacktestRow]) -> list[int]:
    """Insert rows by one statement; return their ids, which count up in the order of the rows."""
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(rows))
    values = [
        value
        for row in rows
        for value in (
            *(str(row.family), row.decision_version, _json(_recorded(row.config)), naive(row.start), naive(row.end)),
            *(row.side, row.fee_bps, row.slippage_bps, row.stake_pct, row.sharpe_per_period),
            *(_json(row.figures), naive(row.created_at)),
        )
    ]
    added = connection.execute(f"INSERT INTO backtests ({_COLUMNS}) VALUES {places} RETURNING id", values)  # noqa: S608
    return sorted(int(row[0]) for row in added.fetchall())


def _trials(connection: SqlConnection, family: Family, new: Iterable[BacktestRow] = ()) -> tuple[TriedVariant, ...]:
    """Return the trials of a family, with rows that are about to be added; of each its longest and latest backtest."""
    tried = connection.execute(_TRIED, [str(family)]).fetchall()
    tried += [_as_tried(row) for row in new if row.family == family]
    longest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in tried:
        if row[:4] not in longest or _rank(row) >= _rank(longest[row[:4]]):
            longest[row[:4]] = row
    return tuple(
        TriedVariant(sharpe, timeframe, version, side, fee_bps, slippage_bps)
        for version, side, fee_bps, slippage_bps, sharpe, timeframe, *_ in sorted(
            longest.values(), key=lambda row: row[:4]
        )
    )


def _as_tried(row: BacktestRow) -> tuple[Any, ...]:
    """Return a row as `_TRIED` will have it."""
    variant = (row.decision_version, row.side, row.fee_bps, row.slippage_bps)
    times = (naive(row.start), naive(row.end), naive(row.created_at))
    return (*variant, row.sharpe_per_period, row.timeframe, *times)


def _rank(tried: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return by what a backtest stands for its variant: the length of its range, then when it was made."""
    *_, start, end, created_at = tried
    return end - start, created_at


def _recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _UNRECORDED}


def _row(values: tuple[Any, ...]) -> BacktestRow:
    """Read one row of `_COLUMNS`."""
    row = dict(zip(_COLUMNS.replace('"', "").split(", "), values, strict=True))
    times = {name: row[name].replace(tzinfo=UTC) for name in ("start", "end", "created_at")}
    texts = {name: json.loads(row[name]) for name in ("config", "figures")}
    return BacktestRow(**{**row, **times, **texts, "family": Family.of(row["family"])})


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=str)
