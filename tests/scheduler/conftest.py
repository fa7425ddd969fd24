"""The command line as a process of its own, as in the runner's tests."""

from tests.runner.conftest import trader

__all__ = ["trader"]
