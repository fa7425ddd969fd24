"""What `up` takes at rest: both of its processes, between two runs by rules, after one whose chart was drawn."""

from pathlib import Path

from mcp_server.storage.home import Home
from tests.benchmarks.container_memory import at_rest, report_rest, up_after_a_run


def test_up_at_rest_takes_little_memory(tmp_path: Path) -> None:
    with up_after_a_run(Home(tmp_path / "home"), {}) as runner:
        report_rest(at_rest(runner))
