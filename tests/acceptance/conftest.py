"""What acceptance tests take over from the others."""

from tests.runner.conftest import trader

__all__ = ["trader"]
