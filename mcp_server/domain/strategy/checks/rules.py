"""The check of rules: whether their text is valid, and how often they held lately."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.strategy.finding import Finding, error, of_error, warning
from mcp_server.domain.strategy.format import Rules
from mcp_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.candles import Candles
    from mcp_server.domain.indicators.from_news import GivenNews
    from mcp_server.domain.indicators.spec import Spec

_COMPARE = "Compare the total with its own past or average, as in 'obv > prev(obv, 20)'."

LATELY = 500
"""How often a rule held is counted over this many of the latest candles."""


@dataclass(frozen=True, slots=True)
class HeldCounts:
    """On how many candles rules held; `both`: buy and sell held together, `valueless`: one of them had no value."""

    candles: int
    buy: int
    sell: int
    both: int
    valueless: int

    @property
    def undecided(self) -> int:
        """On how many candles they could not decide."""
        return self.both + self.valueless

    def __str__(self) -> str:
        return f"buy {self.buy}, sell {self.sell}, undecided {self.undecided} of {self.candles}"


def rule_findings(rules: Rules | None, wake: str | None, timeframe: str | None) -> list[Finding]:
    """Find what is wrong with the text of rules and of a wake condition; each is checked on its own.

    Args:
        rules: their valid parts.
        wake: the condition.
        timeframe: of the candles that they are evaluated on; None where it is not known.
    """
    from mcp_server.domain.indicators.parse import parse_spec
    from mcp_server.domain.indicators.spec import distinct
    from mcp_server.domain.rules.beginnings import UNSOUND, unsound_conditions
    from mcp_server.domain.rules.compiled import read_condition
    from mcp_server.domain.rules.reader import UnknownColumn

    findings, specs = list[Finding](), list["Spec"]()
    for position, spec in enumerate(rules.indicators if rules else ()):
        try:
            specs.append(parse_spec(spec))
            specs[-1].candles_wanted(timeframe or "1h")
        except BadInput as wrong:
            findings.append(of_error(f"config.json rules.indicators[{position}]", wrong))
    try:
        specs = list(distinct(specs))
    except BadInput as wrong:
        findings.append(of_error("config.json rules.indicators", wrong))
    columns_known = not findings
    texts = {"wake": wake, "rules.buy": rules.buy if rules else None, "rules.sell": rules.sell if rules else None}
    for key, text in texts.items():
        try:
            if text is not None:
                unsound = unsound_conditions(read_condition("buy", text, specs), specs)
                problem = f"{' and '.join(map(repr, unsound))} {UNSOUND}."
                findings += [error(f"config.json {key}", problem, _COMPARE)] if unsound else []
        except UnknownColumn as unknown:
            findings += [of_error(f"config.json {key}", unknown)] if columns_known else []
        except BadInput as wrong:
            findings.append(of_error(f"config.json {key}", wrong))
    return findings


def wake_rules(rules: Rules | None, wake: str) -> Rules:
    """Return a wake condition as rules: their `buy` holds where it does."""
    return Rules(timeframe=rules.timeframe if rules else None, indicators=rules.indicators if rules else (), buy=wake)


def history(rules: Rules, timeframe: str, most: int) -> int:
    """Count the candles to look at: what valid rules need to be stable, and before that `LATELY`.

    Args:
        rules: valid ones.
        timeframe: of the candles.
        most: the most candles for indicators to settle; what a condition looks back to is added where it is more.
    """
    from mcp_server.domain.rules.compiled import compile_rules

    compiled = compile_rules(rules, timeframe)
    return LATELY + min(compiled.history, max(most - LATELY, compiled.reach + 1))


def looked_at(rules: Rules, timeframe: str) -> "Sequence[GivenNews]":
    """Return the news that valid rules look at: it is to be given with the candles."""
    from mcp_server.domain.rules.compiled import compile_rules

    return compile_rules(rules, timeframe).news


def held_lately(rules: Rules, timeframe: str, candles: "Candles") -> HeldCounts:
    """Count how often valid rules held over the last `LATELY` candles.

    Args:
        rules: valid ones.
        timeframe: of the candles.
        candles: closed candles, oldest first, those before the last ones as warm-up.
    """
    from mcp_server.domain.rules.compiled import compile_rules

    series = compile_rules(rules, timeframe).series(candles)
    valueless = (series.buy < 0) | (series.sell < 0)
    # The leading candles without a value, as of a young market, are left out; if none has one, that is no warm-up.
    warm_up = 0 if valueless.all() else int(valueless.argmin())
    counted = slice(max(warm_up, len(series) - LATELY), None)
    buy, sell = series.buy[counted] == 1, series.sell[counted] == 1
    return HeldCounts(
        candles=len(buy),
        buy=int(buy.sum()),
        sell=int(sell.sum()),
        both=int((buy & sell).sum()),
        valueless=int(valueless[counted].sum()),
    )


def held_findings(rules: Rules, held: HeldCounts, timeframe: str, place: str = "rules.") -> list[Finding]:
    """Find rules that never or always held, or that could not decide; `place` is their place in config.json."""
    if not held.candles:
        return []
    of_how_many = f"of the last {held.candles} {timeframe} candles"
    findings: list[Finding] = []
    conditions: dict[str, tuple[str | None, int]] = {"buy": (rules.buy, held.buy), "sell": (rules.sell, held.sell)}
    for name, (text, count) in conditions.items():
        key = f"config.json {place}{name}" if place else "config.json wake"
        if text is not None and count == 0:
            findings.append(warning(key, f"It held on none {of_how_many}.", "Loosen it, or expect it to be rare."))
        if text is not None and count == held.candles:
            findings.append(
                warning(key, f"It held on all {of_how_many}.", "Narrow it, or expect the same signal every time.")
            )
    if place and held.undecided:
        findings.append(_undecided(held, of_how_many))
    return findings


def confidence_findings(rules: Rules) -> list[Finding]:
    """Find a confidence that was meant as a fraction of 1."""
    if rules.confidence is None or not 0 < rules.confidence < 1:
        return []
    problem = f"{rules.confidence:f} means less than one per cent."
    return [
        warning("config.json rules.confidence", problem, "Write a number from 0 to 100, such as 85 for 85 per cent.")
    ]


def _undecided(held: HeldCounts, of_how_many: str) -> Finding:
    reasons = {"both held": held.both, "one had no value, for example after a division by zero": held.valueless}
    why = " and ".join(f"on {count} {reason}" for reason, count in reasons.items() if count)
    remedies = {
        "Write buy and sell so that they exclude each other.": held.both,
        "Test for IS NOT NULL first.": held.valueless,
    }
    remedy = " ".join(remedy for remedy, count in remedies.items() if count)
    return warning("config.json rules", f"They could not decide on {held.undecided} {of_how_many}: {why}.", remedy)
