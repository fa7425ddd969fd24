"""Writes runs into the journal of TRADER_HOME until it is killed; prints the number of each."""

import sys
from datetime import UTC, datetime

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import Retryable
from mcp_server.storage.journal.rows import Run
from runner.cli.context import Context

if __name__ == "__main__":
    now = datetime(2026, 3, 1, tzinfo=UTC)
    strategy = parse_strategy("s", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    journal = Context().journal
    while True:
        try:
            claimed = journal.claim(Run(strategy, "manual", now, "rules", now))
        except Retryable:  # a backup is being made
            continue
        sys.stdout.write(f"{claimed.execution_id}\n")
        sys.stdout.flush()
