from mcp_server.domain.strategy.evidence import SubAgent, ToolCall, unheard, unreported


def _agent(name: str, *, heard: bool = True, tool: str = "get_price", completed: bool | None = True) -> SubAgent:
    calls = [ToolCall(tool, {"symbol": "BTC/USDT"}, "42.5", is_error=False)]
    return SubAgent(name, frozenset(["get_price"]), completed=completed, report="done", calls=calls, heard=heard)


def test_a_report_that_rests_on_a_declared_tool_is_one() -> None:
    assert unreported(["a", "b"], [_agent("a"), _agent("b")]) == []


def test_one_good_start_of_several_is_enough() -> None:
    assert unreported(["a"], [_agent("a", completed=None), _agent("a"), _agent("a", completed=False)]) == []


def test_who_has_not_reported_is_named_with_the_reason() -> None:
    absent, undeclared = unreported(["a", "b", "c"], [_agent("a"), _agent("c", tool="get_wallet")])
    assert absent == "'b' was never started"
    assert undeclared.startswith("'c' ")
    assert "invented" in undeclared


def test_a_report_that_came_after_the_answer_was_not_heard() -> None:
    assert unheard(["a", "b"], [_agent("a"), _agent("b", heard=False)]) == ["b"]
