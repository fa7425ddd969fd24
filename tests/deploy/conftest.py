"""The command line, as the runner's tests have it."""

from tests.runner.conftest import trader

__all__ = ["trader"]
