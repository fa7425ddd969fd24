"""`make sizes`: the wheel in empty environments, without and with the extra; the server there is asked.

What an installation without the extra takes is a line of the table of `tests.benchmarks.touches`, and must not grow.
"""

import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from mcp_server.app import tool_files
from tests.benchmarks.touches import report
from tests.hosts.empty_environment import Environment, built

MOST_MB = 530
"""The page docs/reference/dependencies.md says what it would take to come below what is wanted."""


def main() -> None:
    """Print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        wheel, sdist = built(Path(folder) / "dist")
        _say(f"wheel {wheel.stat().st_size / 1000:.0f} kB, sdist {sdist.stat().st_size / 1000:.0f} kB")
        for name, extra in (("without the extra", ""), ("with [claude]", "[claude]")):
            environment = Environment(Path(folder) / f"environment{extra}")
            empty = environment.mib()
            environment.install(f"claude-trader{extra} @ {wheel.as_uri()}")
            tools, strategies = environment.ask("claude-trader-mcp", data=Path(folder))
            assert tools == list(tool_files())
            _say(
                f"{name}: {environment.mib() - empty:.0f} MB; the server offers {len(tools)} tools there and has "
                f"{len(strategies['rows'])} examples"
            )
            if not extra:
                brought = environment.mib() - empty - _own_mb(environment)
                with suppress(AssertionError):  # it is more than wanted
                    report("install", [brought])
                _say("")
                assert brought <= MOST_MB, f"{brought:.0f} MB is more than {MOST_MB}"


def _own_mb(environment: Environment) -> float:
    """Return what the package itself takes."""
    (own,) = metadata.distributions(path=[str(environment.packages)], name="claude-trader")
    return sum(Path(str(own.locate_file(file))).stat().st_size for file in own.files or []) / 1024**2


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
