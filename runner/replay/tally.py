"""What the rows of a replay say about all of it: how its moments ended, their signals, and what they cost."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mcp_server.domain.outcome import SignalName, Status
from mcp_server.storage.journal.replay_rows import ReplayRow
from runner.replay.estimate import MomentCost


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of a replay by their moments, of which `moments` are looked at.

    `is_ablation` is whether most of its replies are those of the strategy with more sub-agents: then what moments cost
    is what was paid, and else what their replies cost when they were asked for.
    """

    rows: dict[datetime, ReplayRow]
    moments: Collection[datetime]
    is_ablation: bool = False

    @property
    def final(self) -> set[datetime]:
        """The moments that have ended for good, and are never run again."""
        return {row.as_of for row in self._rows() if row.is_final}

    @property
    def asleep(self) -> set[datetime]:
        """The moments that were not worth asking about."""
        return {row.as_of for row in self._rows() if row.status == Status.SKIPPED_GATE}

    @property
    def open_rows(self) -> dict[datetime, int]:
        """The rows that are to be taken up again, by their moments."""
        return {row.as_of: row.execution_id for row in self._rows() if row.is_open}

    @property
    def by_status(self) -> dict[Status, int]:
        """How many moments ended for good and how, but for those asleep."""
        final = (Status(row.status) for row in self._rows() if row.is_final)
        return Counter(status for status in final if status != Status.SKIPPED_GATE)

    @property
    def signals(self) -> dict[SignalName, int]:
        """How many signals there are of each kind."""
        return Counter(row.signal for row in self._rows() if row.signal is not None)  # type: ignore[misc]

    @property
    def drifts(self) -> dict[str, int]:
        """What was not on the cassette, and at how many moments it was just that."""
        return Counter(row.error or "" for row in self._rows() if row.status == Status.DRIFT)

    @property
    def contaminated(self) -> int:
        """At how many moments a model may have known what came next."""
        return sum(bool(row.contaminated) for row in self._rows())

    @property
    def recorded_usd(self) -> Decimal:
        """What all replies that were used once cost, as far as that is known."""
        return sum((row.recorded_usd or Decimal(0) for row in self._rows()), Decimal(0))

    @property
    def costs(self) -> list[MomentCost]:
        """What the moments that Claude was asked about cost."""
        return [MomentCost(self._cost(row), row.took_s) for row in self.asked]

    @property
    def asked(self) -> list[ReplayRow]:
        """The rows in which Claude was asked to the end."""
        return [row for row in self._rows() if row.is_final and row.tokens_used]

    @property
    def kept_out(self) -> set[datetime]:
        """The moments at which Claude was not to be asked: asleep, or without the candle to decide on."""
        return {row.as_of for row in self._rows() if row.is_final and row.tokens_used == 0}

    def failure_of_all(self, moments: Iterable[datetime]) -> str | None:
        """Return why none of these moments could be decided, where each failed by the strategy's own fault."""
        rows = [self.rows.get(moment) for moment in moments]
        failed = [row for row in rows if row is not None and row.own_failure]
        return failed[-1].error if failed and len(failed) == len(rows) else None

    def _cost(self, row: ReplayRow) -> Decimal | None:
        return (row.cost_usd or None) if self.is_ablation else row.cost_when_asked

    def _rows(self) -> Iterable[ReplayRow]:
        return (self.rows[moment] for moment in self.moments if moment in self.rows)
