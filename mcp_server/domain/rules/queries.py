"""The queries over candles that evaluate checked rules."""

from collections.abc import Sequence
from dataclasses import replace

from mcp_server.domain.rules.sql import ROW, Stages, filled
from mcp_server.domain.rules.tree import Node
from mcp_server.domain.rules.verdict import Rule

EARLIER = "earlier "
"""Before the name of a column: as it is where the last candle is taken away, and without a value at that one."""


def explaining(rules: Sequence[Rule]) -> str:
    """Select, for each rule, each of its parts and after it what that looks at; of the last candle only."""
    stages = Stages()
    return stages.query(_explained(rules, stages), f' ORDER BY "{ROW}" DESC LIMIT 1')


def proving(rules: Sequence[Rule]) -> str:
    """Select of the last two candles, the last one first, what `explaining` does and then each rule's value, twice.

    First as `deciding` selects it, then of the `EARLIER` columns.
    """
    stages = Stages()
    wanted = _explained(rules, stages)
    for trees in ([rule.tree for rule in rules], [_of_earlier(rule.tree) for rule in rules]):
        wanted += [filled(stages.want(tree), tree) for tree in trees]
    return stages.query(wanted, f' ORDER BY "{ROW}" DESC LIMIT 2')


def deciding(rules: Sequence[Rule]) -> str:
    """Select each rule's value at every candle, in any order: 1, 0, or -1 where it has none."""
    stages = Stages()
    wanted = [f"{filled(stages.want(rule.tree), rule.tree)} AS {rule.name}" for rule in rules]
    return stages.query([f'"{ROW}"', *wanted])


def stepping(rules: Sequence[Rule], parts: Sequence[Node]) -> str:
    """Select what `deciding` does, and each part that is computed on the way; NaN where a number has no value.

    Each `STRETCH` is by itself.
    """
    stages = Stages(by_stretch=True)
    values = {f"part_{position}": node for position, node in enumerate(parts)}
    values |= {rule.name: rule.tree for rule in rules}
    wanted = [f"{filled(stages.want(node), node)} AS {name}" for name, node in values.items()]
    return stages.query([f'"{ROW}"', *wanted])


def _explained(rules: Sequence[Rule], stages: Stages) -> list[str]:
    parts = [(rule, part) for rule in rules for part in rule.parts()]
    return [stages.want(node) for rule, part in parts for node in (part, *rule.terms(part).values())]


def _of_earlier(node: Node) -> Node:
    if node.op == "column":
        return replace(node, value=f"{EARLIER}{node.value}")
    return replace(node, arguments=tuple(map(_of_earlier, node.arguments)))
