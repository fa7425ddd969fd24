"""What `up` takes at rest: both of its processes, between two runs by rules, after one whose chart was drawn."""

import time
from pathlib import Path

from mcp_server.storage.home import Home
from tests.benchmarks.container_memory import rest, taken_mb, up_after_a_run
from tests.benchmarks.programs import say
from tests.benchmarks.touches import report

LOOKS = 5


def test_up_at_rest_takes_little_memory(tmp_path: Path) -> None:
    looks = []
    with up_after_a_run(Home(tmp_path / "home"), {}) as runner:
        rest(runner)
        for _ in range(LOOKS):
            time.sleep(3)
            looks.append(taken_mb(runner))
    middle = sorted(looks, key=lambda look: sum(look.values()))[LOOKS // 2]
    say("up at rest: " + ", ".join(f"{name.split()[0]} {mb:.0f} MB" for name, mb in middle.items()))
    report("memory of up", [sum(look.values()) for look in looks])
