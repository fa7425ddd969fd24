"""Runs the peers and writes what they gave as fixtures: `make parity`."""

from importlib.metadata import version
from typing import Any

from tests.parity import fixtures
from tests.parity.peers import PeerRun, backtesting_run, readme_idea, vectorbt_run
from tests.parity.rules import RULES
from tests.parity.scoring import scoring
from tests.parity.series import SERIES
from tests.parity.signals import signals
from tests.parity.statistics import statistics

PEERS = {"vectorbt": vectorbt_run, "backtesting": backtesting_run}


def written(run: PeerRun) -> dict[str, Any]:
    rows = [
        [int(side), int(entry), float(f"{price:.12g}"), int(exit_), float(f"{out:.12g}")]
        for side, entry, price, exit_, out in zip(
            run.side, run.entry, run.entry_price, run.exit, run.exit_price, strict=True
        )
    ]
    return {
        "trades": len(rows),
        "open": run.open,
        "final_equity": run.final_equity,
        "figures": run.figures,
        "side": fixtures.packed(run.side),
        "entry": fixtures.packed(run.entry),
        "exit": fixtures.packed(run.exit),
        "prices_sha256": fixtures.hashed([price for row in rows for price in (row[2], row[4])]),
        "first": rows[: fixtures.SHOWN],
        "last": rows[-fixtures.SHOWN :],
    }


def main() -> None:
    """Write one file for each series of candles that is there, one of statistics, and one of scoring."""
    fixtures.write("statistics", statistics())
    fixtures.write("scoring", scoring())
    for name, load in SERIES.items():
        if (candles := load()) is None:
            print(f"{name}: not there, its fixture stays as it is")  # noqa: T201 - a program
            continue
        content: dict[str, Any] = {
            "candles": len(candles),
            "candles_sha256": candles.sha256,
            "peers": {peer: version(peer) for peer in PEERS},
            "rules": {},
        }
        for rule in RULES:
            buy, sell = signals(rule.name, candles)
            runs = {peer: written(run(rule, candles, buy, sell)) for peer, run in PEERS.items()}
            for key in ("side", "entry", "exit"):  # the same text once
                if runs["backtesting"][key] == runs["vectorbt"][key]:
                    runs["backtesting"][key] = "as vectorbt"
            content["rules"][rule.name] = runs
            text = ", ".join(f"{peer} {run['trades']} trades, {run['final_equity']:.9f}" for peer, run in runs.items())
            print(f"{name} {rule.name}: {text}")  # noqa: T201 - a program
        if name == "coinbase":
            content["readme_idea"] = readme_idea(candles)
        fixtures.write(name, content)


if __name__ == "__main__":
    main()
