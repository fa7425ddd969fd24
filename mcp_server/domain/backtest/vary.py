"""Variants of a strategy for a sweep: each combination of the values that its variations try, written into its rules.

An indicator changes in `indicators`, also where another one is computed of it, and with its columns in the conditions.
A number changes in the conditions, wherever it stands by itself. All changes of a variant are made at once, so that
none changes what another one has written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import product

from mcp_server.domain.backtest.variation import UNSIGNED, Variation, read_variations
from mcp_server.domain.indicators.catalog import find
from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.strategy.checks.rules import rule_findings
from mcp_server.domain.strategy.format import Rules
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput

_WORD = re.compile(rf"[a-z_][a-z0-9_]*|{UNSIGNED}", re.IGNORECASE | re.ASCII)
"""A name or a number in a condition, whole: there is no number inside of `rsi_14`, and no 30 in 130 or in 30.5."""

_spec = lru_cache(maxsize=4096)(parse_spec)
"""The same few specs are in each of thousands of variants."""

_OF = re.compile(r"\s+of\s", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Variant:
    """One strategy of the grid. `changes` are pairs: what stood there, and what stands there now; none: its own."""

    changes: tuple[tuple[str, str], ...]
    strategy: Strategy

    @property
    def label(self) -> str:
        """Its changes, to be read by people."""
        return ", ".join(f"{own} → {value}" for own, value in self.changes) or "as it is"


def variants(strategy: Strategy, texts: Sequence[str]) -> list[Variant]:
    """Return all combinations of what is tried, the strategy as it is first.

    Each value is tried by itself here, so that a wrong one is refused before anything is computed. Together they may
    still be refused: of those variants the run fails.

    Args:
        strategy: one with rules.
        texts: variations, each like `rsi(14)=rsi(7),rsi(21)` or `30=25,35`.

    Raises:
        BadInput: a variation cannot be read, varies nothing that decides, or has a value that the rules refuse; or the
            grid is too large.
    """
    rules = strategy.config.rules
    if rules is None:
        raise BadInput(f"Strategy {strategy.name!r} has no rules to vary.", "Add 'rules' to its config.")
    variations = read_variations(texts)
    compile_rules(rules, strategy.timeframe)
    for variation in variations:
        for value in variation.values:
            _check_alone(strategy, rules, variation, value)
    choices = [[(variation, value) for value in (variation.own, *variation.values)] for variation in variations]
    rows = [[(variation, value) for variation, value in row if value != variation.own] for row in product(*choices)]
    made = [_variant(strategy, rules, row) for row in rows]
    _check_different(made)
    return made


def _check_alone(strategy: Strategy, rules: Rules, variation: Variation, value: str) -> None:
    changed = _Rewriting([(variation, value)]).rules(rules)
    for wrong in rule_findings(changed, None, strategy.timeframe):
        raise BadInput(f"{value!r} in place of {variation.own!r}: {wrong.problem}", wrong.remedy)
    if (changed.buy, changed.sell) == (rules.buy, rules.sell):
        raise BadInput(f"{variation.own!r} is not in the rules that buy and sell.", _there_is(rules, variation))


def _check_different(made: Sequence[Variant]) -> None:
    labels = dict[tuple[str | None, str | None], str]()
    for variant in made:
        rules = variant.strategy.config.rules
        conditions = (rules.buy, rules.sell) if rules else (None, None)
        if conditions in labels:
            problem = f"The variants {labels[conditions]!r} and {variant.label!r} are the same rules."
            raise BadInput(problem, "Leave out one of their values.")
        labels[conditions] = variant.label


def _there_is(rules: Rules, variation: Variation) -> str:
    """Say what could be varied."""
    words = [word for text in (rules.buy, rules.sell) for word in _WORD.findall(text or "")]
    if variation.is_number:
        there = dict.fromkeys(word for word in words if not word[0].isalpha() and word[0] != "_")
    else:
        names = {word.lower() for word in words}
        there = dict.fromkeys(text for text in rules.indicators if names & set(_spec(text).columns))
    return f"There {'is' if len(there) == 1 else 'are'}: {', '.join(there)}." if there else "Vary something else."


def _variant(strategy: Strategy, rules: Rules, changes: Sequence[tuple[Variation, str]]) -> Variant:
    if not changes:
        return Variant((), strategy)
    rewriting = _Rewriting(changes)
    config = strategy.config_json()
    config["rules"] |= rewriting.rules(rules).model_dump(mode="json", include={"indicators", "buy", "sell"})
    if strategy.config.wake is not None:
        config["wake"] = rewriting.condition(strategy.config.wake, rewriting.columns(rules.indicators))
    varied = parse_strategy(strategy.name, config, strategy.agents_json())
    return Variant(tuple((variation.own, value) for variation, value in changes), varied)


class _Rewriting:
    """Writes values in the place of what is varied."""

    def __init__(self, changes: Sequence[tuple[Variation, str]]) -> None:
        self._numbers = {Decimal(v.own): _operand(value) for v, value in changes if v.is_number}
        self._specs = [(_spec(v.own), value) for v, value in changes if not v.is_number]

    def rules(self, rules: Rules) -> Rules:
        columns = self.columns(rules.indicators)
        conditions = {
            name: self.condition(text, columns)
            for name, text in (("buy", rules.buy), ("sell", rules.sell))
            if text is not None
        }
        indicators = tuple(self.spec(_spec(text)) for text in rules.indicators)
        return rules.model_copy(update={"indicators": indicators, **conditions})

    def condition(self, text: str, columns: dict[str, str]) -> str:
        def written(match: re.Match[str]) -> str:
            word = match[0]
            if word[0].isalpha() or word[0] == "_":
                return columns.get(word.lower(), word)
            return self._numbers.get(Decimal(word), word)

        return _WORD.sub(written, text)

    def columns(self, indicators: Sequence[str]) -> dict[str, str]:
        """Return the columns that change their names, and the new ones."""
        pairs = ((spec, _spec(self.spec(spec))) for spec in map(_spec, indicators))
        return {old: new for before, after in pairs if before != after for old, new in _renamed(before, after)}

    def spec(self, spec: Spec) -> str:
        """Write a spec as it is to be."""
        for own, value in self._specs:
            same = (spec.function, spec.parameters, spec.inputs) == (own.function, own.parameters, own.inputs)
            if same and set(spec.columns) <= set(own.columns):
                picks = len(spec.columns) < len(own.columns)
                return self._of(_spec(_picking(spec, value) if picks else value))
        return self._of(spec)

    def _of(self, spec: Spec) -> str:
        """Write a spec with those that it is computed of as they are to be."""
        if (of := _OF.search(spec.text)) is None:
            return spec.text
        text, position = spec.text, of.end()
        for source in spec.inputs:
            if isinstance(source, Spec) and (start := text.find(source.text, position)) >= 0:
                written = self.spec(source)
                text = text[:start] + written + text[start + len(source.text) :]
                position = start + len(written)
        return text


def _operand(number: str) -> str:
    """Write a number so that its sign cannot join the operator before it."""
    return f"({number})" if number[0] == "-" else number.lstrip("+")


def _picking(spec: Spec, value: str) -> str:
    """Write the one output that a spec picks (`macd(12,26,9).hist`) of the value in its place."""
    (position,) = spec.picked
    output = find(spec.function).outputs[position] or _spec(value).function
    head, *rest = _OF.split(value, maxsplit=1)
    return " of ".join([f"{head}.{output}", *rest])


def _renamed(before: Spec, after: Spec) -> Iterator[tuple[str, str]]:
    """Return the columns of an indicator with those of what takes its place: the only one, or the same output's."""
    if len(before.columns) == len(after.columns) == 1:
        yield before.columns[0], after.columns[0]
        return
    outputs = find(after.function).outputs
    new = {outputs[position]: column for position, column in zip(after.picked, after.columns, strict=True)}
    for position, column in zip(before.picked, before.columns, strict=True):
        if (output := find(before.function).outputs[position]) in new:
            yield column, new[output]
