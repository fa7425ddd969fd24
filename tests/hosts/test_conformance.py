"""The official conformance scenarios that judge any server, in both eras of the protocol, and the Inspector."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcp_server.app import tool_files
from tests.acceptance.test_http import Serving, serving
from tests.hosts.npm import run

MODERN, LEGACY = "2026-07-28", "2025-11-25"
SCENARIOS = {
    MODERN: (
        "tools-list", "resources-list", "prompts-list", "completion-complete", "dns-rebinding-protection",
        "server-sse-multiple-streams", "caching", "http-header-validation", "sep-2164-resource-not-found",
        "server-stateless",
    ),
    LEGACY: (
        "tools-list", "resources-list", "prompts-list", "completion-complete", "dns-rebinding-protection",
        "server-sse-multiple-streams", "server-initialize", "server-session-lifecycle", "ping",
    ),
}  # fmt: skip
"""The others judge tools, prompts and resources of a certain example server, by its names."""

DEVIATIONS = {
    # It calls a tool of the example server that samples from the client's model; no tool here asks a client anything.
    (MODERN, "server-stateless"): {
        "sep-2575-server-rejects-undeclared-capability": "FAILURE",
        "sep-2575-missing-capability-http-400": "FAILURE",
    },
    # Without sessions, as here on purpose, there is nothing to open several streams of.
    (LEGACY, "server-sse-multiple-streams"): {"server-sse-multiple-streams-session": "WARNING"},
}

Verdicts = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("home"), TRADER_EXCHANGE="simulated") as server:
        yield server


@pytest.fixture(scope="module")
def verdicts(server: Serving) -> Verdicts:
    """What the suite says of each scenario; two at a time, as each starts a Node of its own."""

    def judge(era_and_scenario: tuple[str, str]) -> str:
        era, scenario = era_and_scenario
        arguments = ("--url", server.url, "--scenario", scenario, "--spec-version", era)
        return run("@modelcontextprotocol/conformance", "dist/index.js", "server", *arguments).stdout

    asked = [(era, scenario) for era, scenarios in SCENARIOS.items() for scenario in scenarios]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(asked, pool.map(judge, asked), strict=True))


@pytest.mark.parametrize(
    ("era", "scenario"), [(era, scenario) for era, scenarios in SCENARIOS.items() for scenario in scenarios]
)
def test_a_conformance_scenario_passes_but_for_what_is_listed(verdicts: Verdicts, era: str, scenario: str) -> None:
    said = verdicts[era, scenario]
    assert "Passed: " in said, said
    faults = dict(re.findall(r"\[([\w-]+) *\] (FAILURE|WARNING)", said))
    assert faults == DEVIATIONS.get((era, scenario), {}), said


def test_the_inspector_finds_every_tool_portable(server: Serving) -> None:
    done = run(
        "@modelcontextprotocol/inspector", "clients/launcher/build/index.js",
        "--cli", server.url, "--method", "tools/list", "--strict",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for name in tool_files():
        assert f'"name": "{name}"' in done.stdout
