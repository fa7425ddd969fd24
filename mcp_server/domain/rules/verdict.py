"""The decision of rules at one candle, and the reason in words for a person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcp_server.domain.outcome import SignalName
from mcp_server.domain.rules.tree import CROSSINGS, WINDOWS, Node

RuleName = Literal["buy", "sell"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One part of a rule's AND/OR tree, as its author wrote it.

    `value` is None when it has none. `values` are the columns and the calls of prev, highest and lowest that it looked
    at, by their text, and of a crossing both lines one candle before and now; conditions among them count as 1 and 0,
    and None is a missing value.
    """

    rule: RuleName
    text: str
    value: bool | None
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of rules at the last candle.

    `signal` is None when they abstain. `buy` and `sell` are None when they have no value; a rule that the strategy
    doesn't have is False. `unsound`: a condition depends on where a running total begins. `lacking` says, in sentences
    that are part of the reasoning, which news is lacking. `open_time_ms` (Unix ms) and `close` (in quote) are those of
    the candle they decided on.
    """

    signal: SignalName | None
    buy: bool | None
    sell: bool | None
    reasoning: str
    conditions: tuple[Condition, ...]
    open_time_ms: int
    close: float
    lacking: tuple[str, ...] = ()
    unsound: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its text and its checked tree."""

    name: RuleName
    text: str
    tree: Node

    def parts(self) -> Iterator[Node]:
        """Return the parts of its top-level AND/OR tree, in the order of the text."""
        yield from _parts(self.tree)

    def text_of(self, node: Node) -> str:
        """Return a node's own source text, on one line."""
        return " ".join(self.text[node.start : node.stop].split())

    def terms(self, node: Node) -> dict[str, Node]:
        """Return what a node looks at, by its text: columns and calls of prev, highest and lowest.

        A crossing looks at both its lines, one candle before and now.
        """
        if node.op == "column":
            return {str(node.value): node}
        if node.op in WINDOWS and node.op not in CROSSINGS:
            return {self.text_of(node): node}
        terms: dict[str, Node] = {}
        for argument in node.arguments:
            if node.op in CROSSINGS and argument.op != "number":
                text = self.text_of(argument)
                terms |= {f"prev({text}, 1)": Node("prev", "number", (argument,), 1), text: argument}
            else:
                terms |= self.terms(argument)
        return terms


@dataclass(frozen=True, slots=True)
class EvaluatedRule:
    """A rule with the values of its parts at one candle, in the order of `Rule.parts`."""

    rule: Rule
    conditions: tuple[Condition, ...]

    def value(self) -> bool | None:
        """Return the whole rule's value, by SQL's three-valued logic."""
        return _outcome(self.rule.tree, iter(self.conditions))[0]

    def deciding(self) -> list[Condition]:
        """List the conditions that made it what it is: those that hold, those that don't, or those without a value."""
        return _outcome(self.rule.tree, iter(self.conditions))[1]


def evaluated_rule(rule: Rule, values: Iterator[bool | float | None]) -> EvaluatedRule:
    """Take a rule's values out of a row, in the order in which they were selected."""
    conditions = []
    for part in rule.parts():
        value = next(values)
        terms = {text: _as_number(next(values)) for text in rule.terms(part)}
        conditions.append(Condition(rule.name, rule.text_of(part), None if value is None else bool(value), terms))
    return EvaluatedRule(rule, tuple(conditions))


def _as_number(value: bool | float | None) -> float | None:
    return None if value is None else float(value)


def decide(buy: bool | None, sell: bool | None) -> SignalName | None:
    """Turn the two rules' values into a signal; None (abstain) when both hold or one has no value."""
    if buy is None or sell is None or (buy and sell):
        return None
    if buy:
        return "BUY"
    return "SELL" if sell else "HOLD"


def explain(rules: Sequence[EvaluatedRule], candles: int, history: int) -> str:
    """Explain in one or two sentences which conditions decided, with the values they saw.

    Args:
        rules: the rules at the candle.
        candles: how many candles there are.
        history: how many are needed.
    """
    undecided = [rule for rule in rules if rule.value() is None]
    if undecided:
        return _explain_missing(undecided, candles, history)
    met = [rule for rule in rules if rule.value()]
    if len(met) > 1:
        both = "; ".join(f"{rule.rule.name}: {_listed(rule.deciding())}" for rule in met)
        return f"Cannot decide: buy and sell both hold, and contradict each other ({both})."
    short = f" Only {candles} of the {history} candles needed exist, so values may be unsettled."
    warning = short if candles < history else ""
    if met:
        return f"{met[0].rule.name.upper()} because {_listed(met[0].deciding())}.{warning}"
    unmet = "; ".join(f"{rule.rule.name} does not hold: {_listed(rule.deciding(), ' is false')}" for rule in rules)
    return f"HOLD because {unmet}.{warning}"


def _explain_missing(undecided: Sequence[EvaluatedRule], candles: int, history: int) -> str:
    conditions = [condition for rule in undecided for condition in rule.deciding()]
    names, verb = " and ".join(rule.rule.name for rule in undecided), "has" if len(undecided) == 1 else "have"
    texts = " and ".join(dict.fromkeys(repr(condition.text) for condition in conditions))
    missing = list(
        dict.fromkeys(name for condition in conditions for name, value in condition.values.items() if value is None)
    )
    if not missing:
        return f"Cannot decide: {names} {verb} no value, because {texts} is undefined here, like a division by zero."
    lacks = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing at this candle"
    few = f"; {candles} {'candle is' if candles == 1 else 'candles are'} too few, {history} are needed"
    return f"Cannot decide: {names} {verb} no value, because {lacks} (in {texts}){few if candles < history else ''}."


def _listed(conditions: Sequence[Condition], verb: str = "") -> str:
    return " and ".join(f"{condition.text}{verb}{_values(condition)}" for condition in conditions)


def _values(condition: Condition) -> str:
    values = [f"{name} = {_number(value)}" for name, value in condition.values.items()]
    return f" ({', '.join(values)})" if values else ""


def _number(value: float | None) -> str:
    return "missing" if value is None else np.format_float_positional(value, precision=8, fractional=False, trim="-")


def _parts(node: Node) -> Iterator[Node]:
    if node.op in ("and", "or"):
        for argument in node.arguments:
            yield from _parts(argument)
    else:
        yield node


def _outcome(node: Node, conditions: Iterator[Condition]) -> tuple[bool | None, list[Condition]]:
    """Return a node's value and the conditions that decided it, taking its parts' conditions from the iterator."""
    if node.op not in ("and", "or"):
        condition = next(conditions)
        return condition.value, [condition]
    outcomes = [_outcome(argument, conditions) for argument in node.arguments]
    settles = node.op == "or"
    values = [value for value, _ in outcomes]
    value = settles if settles in values else None if None in values else not settles
    return value, [condition for part, deciding in outcomes if part is value for condition in deciding]
