"""Runs every check beside the others, each within its time: one that fails or hangs hides none of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread

from mcp_server.errors import TraderError
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders
from runner.doctor import facts, findings, probes
from runner.doctor.findings import Diagnosis
from runner.settings import RunnerSettings
from runner.tool_server.client import Tools, connected
from runner.tool_server.server import tool_server

CHECK_S = 15.0
"""So long one check may take."""

SERVER_S = 40.0
"""So long the server may take to start, and all that is asked through it."""

REPORT = "Report this: the check itself failed."

Look = Callable[[], Awaitable[list[Diagnosis]]]


class Checkup:
    """One checkup of a home. Findings are kept by check, in the order in which they are shown."""

    def __init__(self, settings: RunnerSettings, *, check_s: float = CHECK_S, server_s: float = SERVER_S) -> None:
        self._settings = settings
        self._home = Home(settings.home)
        self._check_s = check_s
        self._server_s = server_s
        self._found: dict[str, list[Diagnosis]] = {}
        self._ahead: dict[str, float] = {}

    async def run(self) -> list[Diagnosis]:
        """Give every finding."""
        order = ["versions", "home", "database", "strategies", "credentials", "memory", "server"]
        folders = StrategyFolders(self._home, examples_folder())
        strategies: list[ListedStrategy] = []
        try:
            with anyio.move_on_after(self._check_s):
                strategies = await anyio.to_thread.run_sync(folders.all, abandon_on_cancel=True)
            self._found["strategies"] = findings.strategies(strategies)
        except (TraderError, OSError) as error:
            said = Diagnosis("strategies", "error", f"They cannot be read: {error}", "Look at strategies/ of the home.")
            self._found["strategies"] = [said]
        exchanges = probes.wanted_exchanges(self._settings.exchange, strategies)
        chains = list(self._settings.chain_urls) or list(probes.CHAINS)
        claude = facts.claude_strategies(strategies)
        order += [*(f"exchange {name}" for name in exchanges), "clock", *(f"chain {name}" for name in chains), "runner"]
        async with anyio.create_task_group() as group:
            local: dict[str, Callable[[], list[Diagnosis]]] = {
                "versions": partial(facts.versions, claude),
                "home": partial(facts.home, self._home),
                "database": partial(facts.database, self._home),
                "credentials": partial(self._credentials, claude),
                "memory": lambda: findings.memory(facts.available_mib(), claude=bool(claude)),
                "runner": partial(self._runner, strategies),
            }
            for check, look in local.items():
                threaded = partial(anyio.to_thread.run_sync, look, abandon_on_cancel=True)
                group.start_soon(self._bounded, check, threaded, self._check_s)
            group.start_soon(self._through_the_server, exchanges, chains)
        return [finding for check in order for finding in self._found.get(check, [])]

    async def _bounded(self, check: str, look: Look, within_s: float) -> None:
        """Run one check; whatever becomes of it is a finding."""
        late = Diagnosis(check, "error", f"No answer within {within_s:g} s.", "Try again; look what keeps it waiting.")
        self._found[check] = [late]
        with anyio.move_on_after(within_s):
            try:
                self._found[check] = await look()
            except TraderError as error:
                self._found[check] = [Diagnosis(check, "error", error.problem, error.remedy or REPORT)]
            except Exception as error:  # a check that breaks is one more finding, and hides no other
                self._found[check] = [Diagnosis(check, "error", f"{type(error).__name__}: {error}", REPORT)]

    async def _through_the_server(self, exchanges: dict[str, str | None], chains: list[str]) -> None:
        async def look() -> list[Diagnosis]:
            async with tool_server(self._settings) as address, connected(address) as tools:
                answered = await probes.handshake(tools)
                if all(each.status == "ok" for each in answered):
                    await self._outside(tools, exchanges, chains)
                return answered

        await self._bounded("server", look, self._server_s)
        for check in [*(f"exchange {name}" for name in exchanges), *(f"chain {name}" for name in chains)]:
            self._found.setdefault(check, [Diagnosis(check, "skipped", "Not asked: the server did not answer.")])
        name, ahead_s = next(iter(self._ahead.items()), ("", None))
        self._found["clock"] = findings.clock(ahead_s, name)

    async def _outside(self, tools: Tools, exchanges: dict[str, str | None], chains: list[str]) -> None:
        async def ask(name: str, symbol: str | None) -> list[Diagnosis]:
            if self._settings.as_of is not None:
                return [Diagnosis(f"exchange {name}", "skipped", "Not asked: TRADER_AS_OF is set, so nothing is live.")]
            found, ahead_s = await probes.exchange(tools, name, symbol)
            if ahead_s is not None:
                self._ahead[name] = ahead_s
            return found

        async with anyio.create_task_group() as group:
            for name, symbol in exchanges.items():
                group.start_soon(self._bounded, f"exchange {name}", partial(ask, name, symbol), self._check_s)
            for name in chains:
                group.start_soon(self._bounded, f"chain {name}", partial(probes.chain, tools, name), self._check_s)

    def _credentials(self, claude: list[str]) -> list[Diagnosis]:
        settings = self._settings
        names = [*settings.credentials, *(["TRADER_TOKEN"] if settings.token else [])]
        return findings.credentials(names, claude, server_url=settings.server_url, has_token=settings.token is not None)

    def _runner(self, strategies: list[ListedStrategy]) -> list[Diagnosis]:
        active = sum(
            each.strategy is not None and each.strategy.config.status == "active"
            for each in strategies
            if not each.example
        )
        return findings.heartbeat(Heartbeat(self._home.heartbeat).read(), datetime.now(UTC), active)
