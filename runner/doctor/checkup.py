"""Runs every check beside the others, each within its time: one that fails or hangs hides none of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread

from mcp_server.errors import TraderError
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.home import Home, examples_folder, no_space
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders
from runner.doctor import facts, findings, probes
from runner.doctor.findings import Diagnosis
from runner.settings import RunnerSettings
from runner.tool_server.client import Tools, connected
from runner.tool_server.server import tool_server

CHECK_S = 15.0
"""How long one check may take."""

SERVER_S = 40.0
"""How long the server may take to start and to answer all that is asked through it."""

REPORT = "Report this: the check itself failed."

Check = Callable[[], Awaitable[list[Diagnosis]]]


class Checkup:
    """One checkup of a home."""

    def __init__(self, settings: RunnerSettings, *, check_s: float = CHECK_S, server_s: float = SERVER_S) -> None:
        self._settings = settings
        self._home = Home(settings.home)
        self._check_s = check_s
        self._server_s = server_s
        self._findings: dict[str, list[Diagnosis]] = {}
        """The findings of each check."""
        self._ahead_s: dict[str, float] = {}
        """How far this clock is ahead of each exchange's newest price."""

    async def run(self) -> list[Diagnosis]:
        """Return every finding, in the order in which checks are shown."""
        order = ["versions", "agent", "home", "database", "journal", "strategies", "credentials"]
        order += ["public address", "notifications", "memory", "server"]
        folders = StrategyFolders(self._home, examples_folder())
        strategies: list[ListedStrategy] = []
        try:
            with anyio.move_on_after(self._check_s):
                strategies = await anyio.to_thread.run_sync(folders.all, abandon_on_cancel=True)
            self._findings["strategies"] = findings.strategies(strategies)
        except (TraderError, OSError) as error:
            problem, remedy = f"They cannot be read: {error}", "Look at strategies/ of the home."
            self._findings["strategies"] = [Diagnosis("strategies", "error", problem, remedy)]
        exchanges = probes.wanted_exchanges(self._settings.exchange, strategies)
        chains = list(self._settings.chain_urls) or list(probes.CHAINS)
        claude = facts.claude_strategies(strategies)
        order += [
            *(f"exchange {name}" for name in exchanges),
            "clock",
            *(f"chain {name}" for name in chains),
            "news",
            "runner",
        ]
        async with anyio.create_task_group() as group:
            local: dict[str, Callable[[], list[Diagnosis]]] = {
                "versions": partial(facts.versions, claude),
                "agent": partial(facts.agent, claude),
                "home": partial(facts.home, self._home),
                "database": partial(
                    facts.database, self._home, journal_elsewhere=self._settings.database_url is not None
                ),
                "journal": partial(facts.journal, self._home, self._settings),
                "credentials": partial(self._credentials, claude),
                "public address": self._public_address,
                "notifications": self._notifications,
                "memory": partial(facts.memory, claude=bool(claude)),
                "news": partial(facts.news, self._home, self._settings),
            }
            for name, check in local.items():
                group.start_soon(self._bounded, name, _threaded(check), self._check_s)
            group.start_soon(self._through_the_server, exchanges, chains)
        await self._bounded("runner", _threaded(partial(self._runner, strategies)), self._check_s)
        return [finding for name in order for finding in self._findings.get(name, [])]

    async def _bounded(self, name: str, check: Check, within_s: float) -> None:
        """Run one check; whatever becomes of it is a finding."""
        late = Diagnosis(
            name, "error", f"No answer within {within_s:g} s.", "Try again; find out what keeps it waiting."
        )
        self._findings[name] = [late]
        with anyio.move_on_after(within_s):
            try:
                self._findings[name] = await check()
            except TraderError as error:
                self._findings[name] = [Diagnosis(name, "error", error.problem, error.remedy or REPORT)]
            except Exception as error:  # a check that breaks is one more finding, and hides no other
                problem = f"{type(error).__name__}: {error}"
                self._findings[name] = [Diagnosis(name, "error", problem, REPORT)]

    async def _through_the_server(self, exchanges: dict[str, str | None], chains: list[str]) -> None:
        async def check() -> list[Diagnosis]:
            async with tool_server(self._settings) as address, connected(address) as tools:
                handshake = await probes.handshake(tools)
                if all(finding.status == "ok" for finding in handshake):
                    await self._outside(tools, exchanges, chains)
                return handshake

        await self._bounded("server", check, self._server_s)
        for name in [*(f"exchange {exchange}" for exchange in exchanges), *(f"chain {chain}" for chain in chains)]:
            self._findings.setdefault(name, [Diagnosis(name, "skipped", "Not asked: the server did not answer.")])
        exchange, ahead_s = next(iter(self._ahead_s.items()), ("", None))
        self._findings["clock"] = findings.clock(ahead_s, exchange)

    async def _outside(self, tools: Tools, exchanges: dict[str, str | None], chains: list[str]) -> None:
        async def ask(name: str, symbol: str | None) -> list[Diagnosis]:
            if self._settings.as_of is not None:
                return [Diagnosis(f"exchange {name}", "skipped", "Not asked: TRADER_AS_OF is set, so nothing is live.")]
            reached, ahead_s = await probes.exchange(tools, name, symbol)
            if ahead_s is not None:
                self._ahead_s[name] = ahead_s
            return reached

        async with anyio.create_task_group() as group:
            for name, symbol in exchanges.items():
                group.start_soon(self._bounded, f"exchange {name}", partial(ask, name, symbol), self._check_s)
            for name in chains:
                group.start_soon(self._bounded, f"chain {name}", partial(probes.chain, tools, name), self._check_s)

    def _credentials(self, claude: list[str]) -> list[Diagnosis]:
        settings = self._settings
        names = [*settings.credentials, *(["TRADER_TOKEN"] if settings.token else [])]
        return findings.credentials(names, claude, server_url=settings.server_url, has_token=settings.token is not None)

    def _public_address(self) -> list[Diagnosis]:
        settings = self._settings
        has_token = bool(settings.token or settings.tokens or settings.tokens_file)
        return findings.public_address(settings.public_url, has_token=has_token)

    def _notifications(self) -> list[Diagnosis]:
        return findings.notifications(len(self._settings.notify), weekly=self._settings.summary == "weekly")

    def _runner(self, strategies: list[ListedStrategy]) -> list[Diagnosis]:
        active = sum(
            entry.strategy is not None and entry.strategy.config.status == "active"
            for entry in strategies
            if not entry.example
        )
        full = no_space(self._home.root) is not None
        told = any(each.status == "error" for name in ("database", "journal") for each in self._findings[name])
        beat = Heartbeat(self._home.heartbeat).read()
        return findings.heartbeat(beat, datetime.now(UTC), active, full=full, journal_told=told)


def _threaded(check: Callable[[], list[Diagnosis]]) -> Check:
    return partial(anyio.to_thread.run_sync, check, abandon_on_cancel=True)
