"""`make sizes`: the wheel in empty environments, without and with the extra; the server there is asked."""

import sys
import tempfile
from pathlib import Path

from mcp_server.app import tool_files
from tests.hosts.empty_environment import Environment, built


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


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
