"""A record and what it is compared with: all that a score is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_server.domain.scoring.left_out import NOTHING_LEFT_OUT, LeftOut
from mcp_server.domain.scoring.signals import JudgedSignals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_server.domain.candles import Candles, Floats
    from mcp_server.domain.rules.series import Codes
    from mcp_server.domain.scoring.keys import EarlierRecord, Kind
    from mcp_server.domain.scoring.terms import Terms
    from mcp_server.domain.strategy.format import StopRule


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """The runs of one strategy, of one kind and decision_version, by a moment.

    `buy`, `sell` and `hold` count signals, of which `pending` and `void` are of BUY and SELL alone; `runs` those that
    ended as success, abstained, error or timeout; `missed` slots that did not run. `cost_usd` is of the runs whose cost
    is known, None where none is; `cost_unknown` counts the others. `judged` has what is judged, HOLD too; `latest`
    is the code and confidence (0 to 1) of the last BUY or SELL that stated one, judged or not. Runs that are `left_out`
    count for none of these.
    """

    strategy_name: str
    kind: Kind
    terms: Terms
    until_ms: int
    runs: int
    missed: int
    buy: int
    sell: int
    hold: int
    pending: int
    void: int
    cost_usd: float | None
    cost_unknown: int
    judged: JudgedSignals
    latest: tuple[int, float] | None = None
    earlier: Sequence[EarlierRecord] = ()
    left_out: LeftOut = NOTHING_LEFT_OUT

    @classmethod
    def empty(cls, strategy_name: str, kind: Kind, terms: Terms, until_ms: int) -> Record:
        """Return the record of a strategy that has no runs of a kind."""
        return cls(strategy_name, kind, terms, until_ms, 0, 0, 0, 0, 0, 0, 0, None, 0, JudgedSignals.none())


@dataclass(frozen=True, slots=True, eq=False)
class RecordControls:
    """What a record is compared with. Codes have one entry for each of its judged signals, UNDECIDED where none is.

    Attributes:
        candles: of its market, from well before its first entry to its last exit; None where they are not known.
        fundings: as of `base_rate`.
        twin: what the rules said; None where the strategy has none.
        leans: what each sub-agent leaned to.
        stop: the strategy's, if it has one.
        beside: what another replay said; None where none is asked for.
    """

    candles: Candles | None = None
    fundings: Mapping[int, Floats] | None = None
    twin: Codes | None = None
    leans: Mapping[str, Codes] = field(default_factory=dict)
    stop: StopRule | None = None
    beside: Codes | None = None
