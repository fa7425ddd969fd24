"""The stand-in exchange as a program of its own, so that what is measured shares no interpreter lock with it.

It prints its URL. For each line that it then reads, a JSON object of switches to set, it prints how many requests came
since the line before, by path.
"""

import json
import sys
import time
from collections import Counter

from tests.rigs.stand_in_exchange import Faults, StandInExchange


class _Living(StandInExchange):
    """Its present goes on with the machine's: the server that asks it lives by the real clock."""

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        """Nobody sets it."""


def main() -> None:
    with _Living() as rig:
        print(rig.url, flush=True)  # noqa: T201 (whoever started it reads this)
        for line in sys.stdin:
            switches = json.loads(line)
            counted, rig.requests = rig.requests, Counter()
            rig.extra_markets = switches.get("extra_markets", rig.extra_markets)
            rig.faults = Faults(latency_s=switches.get("latency_s", rig.faults.latency_s))
            print(json.dumps(counted), flush=True)  # noqa: T201 (as above)


if __name__ == "__main__":
    main()
