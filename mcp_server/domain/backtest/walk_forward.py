"""Walk-forward: choose on what was known, then see how the choice did on what came next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One test part: the variant that was best before it, and what that variant and holding did in it.

    `start_ms` and `end_ms` are the bounds of the test part (Unix ms). `chosen` is the position of the variant, None
    where none has a Sharpe ratio in the training part: nothing is traded then. `return_pct` is None once it is ruined.
    """

    start_ms: int
    end_ms: int
    chosen: int | None
    return_pct: float | None
    buy_and_hold_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """All folds, oldest first, and what the choices returned in all of them, one after the other."""

    folds: tuple[Fold, ...]
    return_pct: float
    buy_and_hold_pct: float
