"""The store of settled fundings: those of any swap, and which ranges of time are known completely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import from_ms, naive
from mcp_server.storage.candles.ranges import Range, holes, joined
from mcp_server.storage.database import Database

if TYPE_CHECKING:
    import duckdb

_OF_SWAP = "exchange = ? AND symbol = ?"


@dataclass(frozen=True, slots=True)
class StoredFundings:
    """What the store has of a range: its fundings, oldest first, and the parts that it does not know."""

    fundings: tuple[Funding, ...]
    missing: list[Range]


@dataclass(frozen=True, slots=True)
class FundingPart:
    """All fundings of a swap in a range, and perhaps some beside it, which are not kept."""

    exchange: str
    symbol: str
    fundings: Sequence[Funding]
    known: Range


class FundingStore:
    """Settled fundings in the home's database. Every method raises what `Database.read` and `Database.write` raise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, parts: Sequence[FundingPart]) -> None:
        """Keep the fundings of ranges, in one transaction; what is known already stays as it is."""

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            for part in parts:
                swap = [part.exchange, part.symbol]
                ranges = _known(connection, swap)
                for hole in holes(part.known, ranges):
                    _insert(connection, swap, [f for f in part.fundings if hole[0] <= f.time_ms < hole[1]])
                connection.execute(f"DELETE FROM funding_coverage WHERE {_OF_SWAP}", swap)  # noqa: S608 - ours
                for start, end in joined(ranges, part.known):
                    row = [*swap, naive(from_ms(start)), naive(from_ms(end))]
                    connection.execute("INSERT INTO funding_coverage VALUES (?, ?, ?, ?)", row)

        self._database.write(work, anyway=True)

    def load(self, exchange: str, symbol: str, wanted: Range, *, patience_s: float | None = None) -> StoredFundings:
        """Return what is kept of a range; wait at most `patience_s` seconds for the file, where that is given."""
        swap = [exchange, symbol]

        def work(connection: duckdb.DuckDBPyConnection) -> StoredFundings:
            rows = connection.execute(
                f"SELECT epoch_ms(settled_at), rate FROM fundings WHERE {_OF_SWAP} "  # noqa: S608 - ours
                "AND settled_at >= ? AND settled_at < ? ORDER BY settled_at",
                [*swap, *(naive(from_ms(at_ms)) for at_ms in wanted)],
            ).fetchall()
            return StoredFundings(tuple(Funding(*row) for row in rows), holes(wanted, _known(connection, swap)))

        return self._database.read(work, patience_s=patience_s, anyway=True)


def _insert(connection: duckdb.DuckDBPyConnection, swap: Sequence[str], fundings: Sequence[Funding]) -> None:
    import numpy as np

    times = np.array([funding.time_ms for funding in fundings], dtype=np.int64)
    rates = np.array([funding.rate for funding in fundings], dtype=np.float64)
    connection.register("incoming", {"time_ms": times, "rate": rates})  # row by row it takes a hundred times as long
    connection.execute("INSERT INTO fundings SELECT ?, ?, make_timestamp(time_ms * 1000), rate FROM incoming", swap)
    connection.unregister("incoming")


def _known(connection: duckdb.DuckDBPyConnection, swap: Sequence[str]) -> list[Range]:
    rows = connection.execute(
        f"SELECT epoch_ms(start_time), epoch_ms(end_time) FROM funding_coverage WHERE {_OF_SWAP} "  # noqa: S608 - ours
        "ORDER BY start_time",
        list(swap),
    ).fetchall()
    return [(int(start), int(end)) for start, end in rows]
