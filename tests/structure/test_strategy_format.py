"""The format's schemas say what the models say, and every example passes the check."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from pydantic import BaseModel

from mcp_server.app import build_server
from mcp_server.domain.strategy.format import Agent, Config, nested_keys
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.check_folder import check_folder
from runner.tool_server.client import Tools
from tests.news.collected import collect
from tests.rigs.sampled import sampled
from tests.rigs.stand_in_exchange import StandInExchange
from tests.structure.schemas import FOLDER, SCHEMAS, agents_schema, config_schema, written
from tests.tools.conftest import NOW

EXAMPLES = sorted(folder.name for folder in examples_folder().iterdir() if folder.is_dir())
HOW_OFTEN = "It held on "
"""The stand-ins' prices go nowhere, so this says nothing there; the simulated market is asked how often rules hold."""


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_files_are_what_the_models_say(name: str) -> None:
    """`make schemas` writes them anew."""
    assert (FOLDER / name).read_text("utf-8") == written(name)


def _keys(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def test_the_schemas_name_exactly_the_keys_that_exist_and_describe_each() -> None:
    config, agents = config_schema(), agents_schema()
    assert set(config["properties"]) - {"$schema"} == _keys(Config)
    assert set(agents["$defs"]["agent"]["properties"]) == _keys(Agent)
    assert set(agents["$defs"]["listed"]["properties"]) == {"name", *_keys(Agent)}
    parts = dict(config["$defs"])
    assert {name: set(part["properties"]) for name, part in parts.items()} == {
        model.__name__: _keys(model) for model in nested_keys().values()
    }
    described = [config["properties"], agents["$defs"]["listed"]["properties"]]
    described += [part["properties"] for part in parts.values()]
    assert all(key.get("description") for properties in described for key in properties.values())
    assert config["additionalProperties"] is False


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_fits_the_schemas(name: str) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")
    config, agents = StrategyFolders(Home(Path("/nowhere")), examples_folder()).content(name)
    jsonschema.validate(config, config_schema())
    if agents is not None:
        jsonschema.validate(agents, agents_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "intervall": "1h"}, config_schema())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_key_that_editors_need_is_none_of_the_strategy(name: str) -> None:
    config, agents = StrategyFolders(Home(Path("/nowhere")), examples_folder()).content(name)
    bare = {key: value for key, value in config.items() if key != "$schema"}
    named = {"$schema": "x", **bare}
    both = {"$schema": "x", **agents} if isinstance(agents, dict) else agents
    assert parse_strategy(name, named, both) == parse_strategy(name, bare, agents)


async def _checked(home: Path, name: str, *, simulated: bool) -> dict[str, Any]:
    """Return the check of an example in a home that has just begun to collect news."""
    collect(home, [(to_ms(NOW if simulated else datetime.now(UTC)) - 60_000, [])])
    with StandInExchange() as rig:
        settings = ServerSettings(home=home, exchange_urls=dict.fromkeys(("binance", "coinbase", "kraken"), rig.url))
        server = build_server(settings, clock=lambda: NOW) if simulated else build_server(settings)
        async with Client(server) as client:
            folders = StrategyFolders(Home(home), examples_folder())
            if simulated:
                config, agents = folders.content(name)
                copy = home / "strategies" / name
                copy.mkdir(parents=True)
                (copy / "config.json").write_text(json.dumps({**config, "exchange": "simulated"}))
                if agents:
                    (copy / "agents.json").write_text(json.dumps(agents))
            return (await check_folder(folders, name, Tools(client))).as_json()


@pytest.mark.parametrize("name", EXAMPLES)
async def test_every_example_passes_the_check_without_a_finding(home: Path, name: str) -> None:
    assert (await _checked(home, name, simulated=True))["findings"] == []


@pytest.mark.parametrize("name", sampled(EXAMPLES, 4))
async def test_every_example_passes_the_check_on_its_own_exchange(home: Path, name: str) -> None:
    report = await _checked(home, name, simulated=False)
    assert [finding for finding in report["findings"] if not finding["problem"].startswith(HOW_OFTEN)] == []


def test_the_examples_differ_in_kind() -> None:
    strategies = [folder.strategy for folder in StrategyFolders(Home(Path("/nowhere")), examples_folder()).all()]
    tools = [
        {tool for agent in strategy.agents.values() for tool in agent.tools} for strategy in strategies if strategy
    ]
    assert any(not names for names in tools), "one by rules alone"
    assert any("get_derivatives" in names for names in tools), "one on funding"
    assert any(strategy and strategy.config.wake for strategy in strategies)
    assert any(strategy and strategy.config.cron for strategy in strategies)
