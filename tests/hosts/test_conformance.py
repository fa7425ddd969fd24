"""The official conformance scenarios that judge any server, in both eras of the protocol, and the Inspector."""

import json
from collections.abc import Callable, Iterator
from functools import cache

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

Verdicts = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("home"), TRADER_EXCHANGE="simulated") as server:
        yield server


@pytest.fixture(scope="module")
def verdicts(server: Serving, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Verdicts]:
    """What the suite says of each check of every scenario of an era, asked at once, as Node takes long to start."""

    @cache
    def judged(era: str) -> Verdicts:
        folder = tmp_path_factory.mktemp("verdicts")
        arguments = ("--url", server.url, "--suite", "all", "--spec-version", era, "--output-dir", str(folder))
        run("@modelcontextprotocol/conformance", "dist/index.js", "server", *arguments)
        return {
            file.parent.name.removeprefix("server-")[: -len("-2026-11-30T05-30-49-541Z")]: [
                (check["id"], check["status"]) for check in json.loads(file.read_text())
            ]
            for file in folder.glob("server-*/checks.json")
        }

    return judged


@pytest.mark.parametrize(
    ("era", "scenario"),
    [
        *((MODERN, scenario) for scenario in SCENARIOS[MODERN]),
        *(pytest.param(LEGACY, scenario, marks=pytest.mark.long) for scenario in SCENARIOS[LEGACY]),
    ],
)
def test_a_conformance_scenario_passes_but_for_what_is_listed(
    verdicts: Callable[[str], Verdicts], era: str, scenario: str
) -> None:
    said = verdicts(era)[scenario]
    assert said
    faults = {check: status for check, status in said if status in ("FAILURE", "WARNING")}
    assert faults == DEVIATIONS.get((era, scenario), {})


@pytest.mark.long
def test_the_inspector_finds_every_tool_portable(server: Serving) -> None:
    """In `make test`, tests/structure/test_portable_schemas.py looks at the schemas for what it would complain of."""
    done = run(
        "@modelcontextprotocol/inspector", "clients/launcher/build/index.js",
        "--cli", server.url, "--method", "tools/list", "--strict",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for name in tool_files():
        assert f'"name": "{name}"' in done.stdout
