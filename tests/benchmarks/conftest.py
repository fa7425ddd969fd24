"""After the benchmarks: the table of all that was measured, by them and by programs of their own."""

import pytest

from tests.benchmarks.touches import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    terminalreporter.section("how quick each touch is")
    for line in table():
        terminalreporter.write_line(line)
