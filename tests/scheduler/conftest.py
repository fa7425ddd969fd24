"""The command line, as in the runner's tests, and where journals are kept."""

from tests.rigs.journal_databases import kept_in
from tests.runner.conftest import trader

__all__ = ["kept_in", "trader"]
