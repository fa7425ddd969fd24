"""The prompts, the guide and what completes their arguments: they name only what exists, checked by enumeration."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from mcp_server.app import build_server, tool_files
from mcp_server.domain.indicators.catalog import all_names as indicator_names
from mcp_server.domain.rules.tree import FUNCTIONS
from mcp_server.domain.strategy.format import Agent, Config, nested_keys
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import examples_folder
from tests.http.conftest import guarded
from tests.structure.test_strategy_format import EXAMPLES
from tests.tools.conftest import Ask, ask, client, settings

__all__ = ["ask", "client", "settings"]

KEYS = {*Config.model_fields, *Agent.model_fields} | {
    f"{part}.{key}" for part, model in nested_keys().items() for key in model.model_fields
}
IDEA = "buy BTC when 4h RSI diverges bullishly while {whales} withdraw from exchanges"


async def arguments(of: Client) -> set[str]:
    """Return every argument of every tool."""
    tools = (await of.list_tools()).tools
    return {name for tool in tools for name in tool.input_schema["properties"]}


async def text(of: Client, prompt: str, **given: str) -> str:
    (message,) = (await of.get_prompt(prompt, given)).messages
    assert isinstance(message.content, TextContent)
    return message.content.text


def ticked(page: str) -> Iterator[str]:
    """Yield the words in backticks, without code blocks; of a call its name."""
    for word in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL)):
        yield from (part.strip().partition("(")[0] for part in word.split(" or "))


@pytest.mark.parametrize(
    ("prompt", "given"),
    [
        ("design_strategy", {"idea": IDEA}),
        ("review_strategy", {"strategy_name": "rsi-reversion"}),
        ("run_strategy", {"strategy_name": "rsi-reversion"}),
    ],
)
async def test_a_prompt_names_only_tools_keys_indicators_and_functions_that_exist(
    client: Client, prompt: str, given: dict[str, str]
) -> None:
    known = {*tool_files(), *KEYS, *FUNCTIONS, *indicator_names(), *await arguments(client)}
    assert [word for word in ticked(await text(client, prompt, **given)) if word not in known] == []


async def test_the_design_prompt_has_every_tool_that_looks_every_key_and_every_function(client: Client) -> None:
    page = await text(client, "design_strategy", idea=IDEA)
    words = set(ticked(page))
    assert IDEA in page
    assert {name for name, file in tool_files().items() if file.annotations.read_only_hint} <= words
    assert words >= KEYS
    assert set(FUNCTIONS) <= words
    assert "set_strategy_status" not in words
    for asked in ("Market:", "Timeframe:", "Entry:", "Exit:", "prove it wrong", "`dry_run`", "`evaluate_strategy`"):
        assert asked in page
    assert "keep one `name`" in page, "under another the tries would not count"
    assert (
        "the probability, in per cent, that a signal is\n  right, its return above 0 after `costs` at its `horizon`"
        in page
    )
    assert len(page) < 10_500


@pytest.mark.parametrize(
    ("prompt", "given"), [("design_strategy", {"idea": IDEA}), ("review_strategy", {"strategy_name": "rsi-reversion"})]
)
async def test_a_replay_is_advised_after_the_rules_backtest_and_never_as_proof_where_contaminated(
    client: Client, prompt: str, given: dict[str, str]
) -> None:
    page = " ".join((await text(client, prompt, **given)).split())
    named = page.index("claude-trader replay ")
    advice = page[named - 150 : named + 500]
    assert "--max-usd" in advice
    assert re.search(r"after (any|the) backtest", advice)
    assert re.search("(after|before) the model's knowledge ends", advice)
    assert re.search(r"contaminated.*proves? nothing", advice)


@pytest.mark.parametrize(
    ("prompt", "given", "said"),
    [
        ("design_strategy", {"idea": "x" * 10_001}, "at most 10,000 characters"),
        (
            "design_strategy",
            {"ideas": "buy low"},
            r"design_strategy: ideas: not a known argument\. Did you mean 'idea'",
        ),
        ("review_strategy", {"strategy_name": "x" * 200}, "Unknown strategy"),
        ("review_strategy", {"strategy_name": "../../etc/passwd"}, "Unknown strategy"),
        ("review_strategy", {}, r"review_strategy: strategy_name: missing\. This argument is required\."),
        ("review_strategy", {"strategy_name": " "}, r"strategy_name: missing\."),
        (
            "review_strategy",
            {"name": "x", "strategy_name": "rsi-reversion"},
            r"name: not a known argument\. Known: strategy_name",
        ),
        ("desing_strategy", {}, r"There is no prompt 'desing_strategy'\. Did you mean 'design_strategy'\?"),
        ("\x1b[31m\u202e", {}, r"There is no prompt '\\x1b\[31m\\u202e'\. Known: "),
    ],
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode() if not isinstance(value, dict) else None,
)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_prompt_that_cannot_be_given_says_why(
    home: Any, mode: Any, prompt: str, given: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(build_server(ServerSettings(home=home)), mode=mode) as client:
        with pytest.raises(MCPError, match=said) as refusal:
            await client.get_prompt(prompt, given)
    assert refusal.value.error.code == INVALID_PARAMS
    assert caplog.records == [], "it is no failure of the server's"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("given", [None, {}, {"idea": ""}, {"idea": " \n"}], ids=str)
async def test_the_design_prompt_needs_no_argument_and_asks_for_the_idea(home: Any, mode: Any, given: Any) -> None:
    async with Client(build_server(ServerSettings(home=home)), mode=mode) as client:
        (message,) = (await client.get_prompt("design_strategy", given)).messages
        (listed, *_) = (await client.list_prompts()).prompts
    assert isinstance(message.content, TextContent)
    assert "You don't know it yet. Ask for the idea first" in message.content.text
    assert "<idea>" not in message.content.text
    assert [argument.required for argument in listed.arguments or []] == [False]


def test_null_counts_as_not_given_for_an_argument_of_a_prompt(home: Any) -> None:
    with guarded(ServerSettings(home=home)) as server:
        for prompt, argument, answer in (
            ("design_strategy", "idea", "Ask for the idea first"),
            ("review_strategy", "strategy_name", "strategy_name: missing"),
        ):
            params = {"name": prompt, "arguments": {argument: None}}
            asked = {"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": params}
            assert answer in server.post(json.dumps(asked).encode()).text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "Ask which one, and wait for the answer. There are: btc-"),
        ({"strategy_name": ""}, "Ask which one"),
        ({"strategy_name": "rsi-reversion"}, "It is 'rsi-reversion'."),
        ({"strategy_name": "the rsi\u202e one"}, "'the rsi one' is none of them. Ask which one"),
    ],
    ids=["none", "empty", "known", "unknown"],
)
async def test_the_run_prompt_leads_through_a_run_of_the_strategy_or_asks_which_one(
    client: Client, given: dict[str, str] | None, said: str
) -> None:
    page = await text(client, "run_strategy", **(given or {}))
    assert said in page
    for asked in ("`execution_id`", "no second", "word for word", "That is not HOLD", "no order or advice"):
        assert asked in page
    assert len(page) < 3_000


async def test_one_word_is_no_idea_as_a_host_may_pass_on_the_first_word_alone(client: Client) -> None:
    page = await text(client, "design_strategy", idea="buy")
    assert "only this arrived, perhaps its first word: 'buy'. Ask for the idea first" in page


async def test_prompts_resources_and_completions_are_the_same_in_the_older_protocol(home: Any) -> None:
    said = []
    for mode in ("auto", "legacy"):
        async with Client(build_server(ServerSettings(home=home)), mode=mode) as client:
            review = PromptReference(type="ref/prompt", name="review_strategy")
            said.append([
                await text(client, "design_strategy", idea=IDEA),
                await text(client, "review_strategy", strategy_name="btc-rsi-whale"),
                await resource(client, "strategy://rsi-reversion"),
                await resource(client, "guide://strategy-format"),
                await completed(client, review, "strategy_name", "btc"),
            ])  # fmt: skip
    assert said[0] == said[1]


async def test_the_design_prompt_names_the_strategies_that_are_not_to_be_written_over(client: Client, ask: Ask) -> None:
    assert "Names in use" not in await text(client, "design_strategy", idea=IDEA)
    config = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > open"}}
    await ask("write_strategy", strategy_name="mine", config=config)
    assert "Names in use, not to be written over without being asked to: mine." in await text(
        client, "design_strategy", idea=IDEA
    )


async def test_the_review_prompt_has_both_files_as_they_are(client: Client) -> None:
    page = await text(client, "review_strategy", strategy_name="btc-two-analysts")
    read = json.loads((examples_folder() / "btc-two-analysts" / "agents.json").read_text())
    config, agents = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert (config["name"], agents) == ("btc-two-analysts", read)
    version = json.loads(await resource(client, "strategy://btc-two-analysts"))["version"]
    assert f"`replaces`\n   '{version}'" in page, "what changes meanwhile is not written over"
    with pytest.raises(MCPError, match="Did you mean 'rsi-reversion'"):
        await text(client, "review_strategy", strategy_name="rsi-revertion")


async def resource(of: Client, uri: str) -> str:
    (content,) = (await of.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_the_guide_is_the_formats_page_and_names_only_keys_and_tools_that_exist(client: Client) -> None:
    page = await resource(client, "guide://strategy-format")
    assert page == (examples_folder() / "README.md").read_text("utf-8")
    tables = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    assert {word for row in tables for word in ticked(row)} == set(Config.model_fields)
    tools = {word for word in ticked(page) if re.fullmatch(r"(get|calculate|find|write|read|set|list)_\w+", word)}
    assert tools <= tool_files().keys()
    for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL):
        for name in re.findall(r"\b(?:get|calculate)_\w+", block):
            assert name in tool_files()


async def test_a_strategy_is_a_resource(client: Client) -> None:
    said = json.loads(await resource(client, "strategy://rsi-reversion"))
    assert (said["name"], said["config"]["trading_pair"]) == ("rsi-reversion", "BTC/USDT")
    for uri in ("strategy://rsi-revertion", "strategy://..%2f..%2fetc", "strategy://%2Fetc%2Fpasswd"):
        with pytest.raises(MCPError):
            await resource(client, uri)


async def completed(of: Client, ref: Any, argument: str, typed: str) -> list[str]:
    answer = await of.complete(ref, {"name": argument, "value": typed})
    return list(answer.completion.values)


async def test_the_arguments_of_prompts_and_resources_are_completed(client: Client) -> None:
    review = PromptReference(type="ref/prompt", name="review_strategy")
    template = ResourceTemplateReference(type="ref/resource", uri="strategy://{name}")
    design = PromptReference(type="ref/prompt", name="design_strategy")
    assert await completed(client, review, "strategy_name", "") == EXAMPLES
    assert await completed(client, review, "strategy_name", "rsi-r") == ["rsi-reversion"]
    assert await completed(client, template, "name", "REVERSION") == ["eth-mean-reversion", "rsi-reversion"]
    assert await completed(client, template, "name", "nothing-like-it") == []
    ideas = await completed(client, design, "idea", "buys when")
    assert ideas
    assert ideas[0].startswith("Buys when the 4-hour RSI")
    assert await completed(client, design, "other", "") == []


async def test_every_argument_of_a_prompt_and_a_resource_can_be_completed(client: Client) -> None:
    for prompt in (await client.list_prompts()).prompts:
        for argument in prompt.arguments or []:
            ref = PromptReference(type="ref/prompt", name=prompt.name)
            assert await completed(client, ref, argument.name, ""), (prompt.name, argument.name)
    for template in (await client.list_resource_templates()).resource_templates:
        ref_to = ResourceTemplateReference(type="ref/resource", uri=template.uri_template)
        for name in re.findall(r"\{(\w+)\}", template.uri_template):
            assert await completed(client, ref_to, name, "")


async def test_prompts_are_offered_with_a_home_that_has_nothing(home: Any) -> None:
    async with Client(build_server(ServerSettings(home=home / "not-there"))) as client:
        listed = (await client.list_prompts()).prompts
        assert [(prompt.name, bool(prompt.title), bool(prompt.description)) for prompt in listed] == [
            ("design_strategy", True, True),
            ("review_strategy", True, True),
            ("run_strategy", True, True),
        ]
