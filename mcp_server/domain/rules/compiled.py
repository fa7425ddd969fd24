"""Rules: conditions over candles and indicators that decide BUY, SELL or HOLD, or that they cannot decide.

`buy` true is BUY, `sell` true is SELL, neither is HOLD. Both true, or one of them undefined, is no decision. A rule
sees the candle that it decides on and earlier ones, never a later one: the past is reached with prev, highest, lowest,
crosses_above and crosses_below, and `check_prefixes` proves it by taking the later candles away.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, Floats, Times
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.from_news import GivenNews, news_wanted
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules import queries
from mcp_server.domain.rules.beginnings import UNSOUND, unsound_conditions
from mcp_server.domain.rules.engine import Engine, Table, rules_engine
from mcp_server.domain.rules.missing_news import why_undefined
from mcp_server.domain.rules.reader import read_rule
from mcp_server.domain.rules.series import Codes, RuleSeries
from mcp_server.domain.rules.sql import ROW, STRETCH
from mcp_server.domain.rules.tree import columns_reached, computed, reach_of
from mcp_server.domain.rules.verdict import Rule, RuleName, Verdict, decide, evaluated_rule, explain
from mcp_server.domain.strategy.format import Rules
from mcp_server.domain.timeframes import iso
from mcp_server.errors import BadInput

MOST_AT_ONCE = 100_000
"""So many candles are decided in one query."""

MOST_DECIDED = 8
"""So many verdicts of the same rules are kept, over other candles each."""

MOST_COMPILED = 2_048
"""So many different rules are kept compiled: to compile takes longer than to decide."""

_ANY_TIMEFRAME = "1m"


Source: TypeAlias = tuple[Spec | None, tuple[str, ...]]
"""An indicator, or None for the candles, and those of its columns that rules use."""


class CompiledRules:
    """Checked rules, ready to be evaluated over candles of their timeframe, any number of times and from any thread."""

    def __init__(self, engine: Engine, specs: Sequence[Spec], rules: Sequence[Rule], timeframe: str) -> None:
        self._engine = engine
        self._specs = specs
        self._rules = rules
        self._wanted = {column: spec.candles_wanted(timeframe) for spec in specs for column in spec.columns}
        self._unsound = {rule.name: texts for rule in rules if (texts := unsound_conditions(rule, specs))}
        self._explaining = queries.explaining(rules)
        self._deciding = queries.deciding(rules)
        self._proving = queries.proving(rules)
        self._decided: dict[bytes, Verdict] = {}
        self._columns = {column for rule in rules for column, _ in columns_reached(rule.tree)}
        self._used = [spec for spec in specs if self._columns & set(spec.columns)]
        self._parts = {rule.text_of(node): node for rule in rules for node in computed(rule.tree)}

    @property
    def history(self) -> int:
        """The candles it needs: until the slowest indicator is stable, and what the rules reach back beyond that."""
        needs = [
            self._wanted.get(column, 1) + reach for rule in self._rules for column, reach in columns_reached(rule.tree)
        ]
        return max([*self._wanted.values(), *needs, self.reach + 1])

    @property
    def reach(self) -> int:
        """How many candles before the one decided on its conditions look back to, besides what an indicator needs."""
        return max((reach_of(rule.tree) for rule in self._rules), default=0)

    @property
    def news(self) -> tuple[GivenNews, ...]:
        """What is to be given of news with the candles (`Candles.given`, by its `key`)."""
        return news_wanted(self._used)

    def decide(self, candles: Candles) -> Verdict:
        """Decide on the last candle as `evaluate` does, proven by `check_prefixes` without that candle.

        Strategies of the same rules share this: over the same candles all is computed once.
        """
        key = candles.digest()
        if (verdict := self._decided.get(key)) is None:
            verdict = self._proven(candles)
            if len(self._decided) >= MOST_DECIDED:
                self._decided.clear()
            self._decided[key] = verdict
        return verdict

    def _proven(self, candles: Candles) -> Verdict:
        """Decide as `evaluate` does, and check the prefix as `check_prefixes` does: in one query of the last rows."""
        if len(candles) < 2:
            return self.evaluate(candles)
        earlier, rules, rows = candles.slice(0, -1), len(self._rules), self.reach + 2
        table = {name: column[-rows:] for name, column in self._table(candles).items()}
        for name, column in self._table(earlier).items():
            if name != ROW:
                table[queries.EARLIER + name] = np.append(column[1 - rows :], np.nan)
        last, before = self._engine.query(self._proving, table)
        codes = before[-2 * rules :]
        for rule, code, without in zip(self._rules, codes[:rules], codes[rules:], strict=True):
            if code != without and rule.name not in self._unsound:
                raise _looks_ahead(earlier)
        return self._verdict(last, candles)

    def evaluate(self, candles: Candles) -> Verdict:
        """Decide on the last candle, and say why.

        Args:
            candles: closed candles, oldest first; `history` of them, so that every indicator is stable.

        Raises:
            BadInput: there is no candle.
            Retryable: it took too long.
        """
        if not len(candles):
            raise BadInput("There are no candles to decide on.", f"Give {self.history} closed candles.")
        (row,) = self._engine.query(self._explaining, self._table(candles))
        return self._verdict(row, candles)

    def _verdict(self, row: Sequence[Any], candles: Candles) -> Verdict:
        """Take the verdict from what `explaining` selects."""
        values = iter(row)
        evaluated = [evaluated_rule(rule, values) for rule in self._rules]
        held = {rule.rule.name: None if rule.rule.name in self._unsound else rule.value() for rule in evaluated}
        buy, sell = held.get("buy", False), held.get("sell", False)
        unsound = [f"{text!r} {UNSOUND}" for texts in self._unsound.values() for text in texts]
        lacking = () if unsound else why_undefined(evaluated, self._used, candles, self.reach)
        return Verdict(
            signal=decide(buy, sell),
            buy=buy,
            sell=sell,
            reasoning=f"Cannot decide: {'; '.join(unsound)}."
            if unsound
            else " ".join([explain(evaluated, len(candles), self.history), *lacking]),
            lacking=lacking,
            unsound=bool(unsound),
            conditions=tuple(condition for rule in evaluated for condition in rule.conditions),
            open_time_ms=int(candles.open_time_ms[-1]),
            close=float(candles.close[-1]),
        )

    def series(self, candles: Candles) -> RuleSeries:
        """Return whether the rules hold at every candle, oldest first.

        Raises:
            Retryable: it took too long.
        """
        return self._held(self._in_order(self._deciding, self._table(candles)), len(candles))

    @cached_property
    def sources(self) -> Sequence[Source]:
        """What the rules look at."""
        used = ((spec, tuple(filter(self._columns.__contains__, spec.columns))) for spec in self._specs)
        own = tuple(filter(self._columns.__contains__, CANDLE_COLUMNS))
        return [source for source in ((None, own), *used) if source[1]]

    def columns_of(self, source: Source, candles: Candles) -> dict[str, Floats]:
        """Return the columns of one of `sources`: NaN where there is no value."""
        spec, names = source
        columns = compute([spec], candles) if spec else {name: getattr(candles, name) for name in names}
        return {name: columns[name] for name in names}

    def parts(self, columns: Mapping[str, Floats], stretch: Times) -> dict[str, npt.NDArray[Any]]:
        """Return all that the decisions are made of: each part of the rules by its text, and the signal.

        Args:
            columns: those of all `sources`, oldest first.
            stretch: for each row a number that rows of other candles do not have. Each stretch is by itself.

        Raises:
            Retryable: it took too long.
        """
        table: Table = {**columns, ROW: np.arange(len(stretch), dtype=np.int64), STRETCH: stretch}
        values = self._in_order(self._stepping, table)
        parts = {text: values[f"part_{position}"] for position, text in enumerate(self._parts)}
        return parts | {"signal": self._held(values, len(stretch)).signals()}

    def _in_order(self, query: str, table: Table) -> dict[str, npt.NDArray[Any]]:
        """Return the columns that a query selects, in the order of the candles.

        However many candles there are, one query sees so many that time and memory suffice: what the conditions look
        back to goes with them.
        """
        starts = range(0, max(len(table[ROW]), 1), MOST_AT_ONCE)
        parts = [self._part_in_order(query, table, start) for start in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _part_in_order(self, query: str, table: Table, start: int) -> dict[str, npt.NDArray[Any]]:
        before = min(self.reach, start)
        part = {name: column[start - before : start + MOST_AT_ONCE] for name, column in table.items()}
        columns = self._engine.columns(query, part)
        order = np.argsort(columns.pop(ROW), kind="stable")[before:]  # to sort in the query takes longer
        return {name: values[order] for name, values in columns.items()}

    def _held(self, columns: Mapping[str, Codes], count: int) -> RuleSeries:
        """Return whether the rules hold, from the columns of this name: 0 of one not given, -1 of an unsound one."""
        held = {name: columns.get(name, np.zeros(count, dtype=np.int8)) for name in ("buy", "sell")}
        held |= {name: np.full(count, -1, dtype=np.int8) for name in self._unsound}
        return RuleSeries(held["buy"], held["sell"])

    def check_prefixes(self, candles: Candles, ends: Sequence[int]) -> None:
        """Prove that no rule looks ahead: its value at a candle stays the same when the later candles are taken away.

        Args:
            candles: the whole series.
            ends: how many candles to keep in each comparison; numbers outside of 1 … len(candles) are ignored.

        Raises:
            BadInput: a rule's value changes without the later candles.
            Retryable: it took too long.
        """
        whole = self.series(candles)
        for end in ends:
            if not 0 < end <= len(candles):
                continue
            if self.series(candles.slice(0, end)).at(-1) != whole.at(end - 1):
                raise _looks_ahead(candles.slice(0, end))

    def bind(self) -> None:
        """Evaluate over no candles, so that what the engine refuses is found now, and not at a slot.

        Raises:
            BadInput: the engine refuses it.
        """
        empty = self._table(Candles.empty())
        self._engine.query(self._explaining, empty)
        self._engine.columns(self._deciding, empty)

    @cached_property
    def _stepping(self) -> str:
        return queries.stepping(self._rules, [*self._parts.values()])

    def _table(self, candles: Candles) -> Table:
        """Return the columns that the rules use, NaN where there is no value, and a running number for their order."""
        table: dict[str, Floats | Times] = {ROW: np.arange(len(candles), dtype=np.int64)}
        for source in self.sources:
            table |= self.columns_of(source, candles)
        return table


@lru_cache(maxsize=MOST_COMPILED)
def compile_rules(rules: Rules, timeframe: str) -> CompiledRules:
    """Check a strategy's rules and make them ready for candles of a timeframe. Nothing of their text is ever run.

    Raises:
        BadInput: an indicator spec or a condition is wrong (each wrong condition is named), or an indicator has no
            value in this timeframe.
    """
    specs = parse_specs(rules.indicators)
    texts: list[tuple[RuleName, str | None]] = [("buy", rules.buy), ("sell", rules.sell)]
    read, errors = list[Rule](), list[tuple[RuleName, BadInput]]()
    for name, text in texts:
        try:
            read += [] if text is None else [read_condition(name, text, specs)]
        except BadInput as error:
            errors.append((name, error))
    if len(errors) > 1:
        raise BadInput(" ".join(f"{name}: {wrong}" for name, wrong in errors))
    for name, wrong in errors:
        raise BadInput(f"{name}: {wrong.problem}", wrong.remedy)
    return CompiledRules(rules_engine(), specs, read, timeframe)


def read_condition(name: RuleName, text: str, specs: Sequence[Spec]) -> Rule:
    """Check one condition over the columns of candles and of these indicators.

    Raises:
        BadInput: it is wrong, or the engine refuses it.
        UnknownColumn: it uses a column that there is not.
    """
    columns = [*CANDLE_COLUMNS, *(column for spec in specs for column in spec.columns)]
    rule = Rule(name, text, read_rule(rules_engine(), text, columns))
    CompiledRules(rules_engine(), specs, [rule], _ANY_TIMEFRAME).bind()
    return rule


def _looks_ahead(earlier: Candles) -> BadInput:
    return BadInput(
        "These rules look ahead: their decision changes when the candles after "
        f"{iso(int(earlier.open_time_ms[-1]))} are taken away.",
        "Replace the indicator that changes.",
    )
