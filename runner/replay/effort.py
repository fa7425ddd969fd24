"""What a rerun takes, and what bounds it: nothing is asked, so what is left is the agent CLI and this program."""

import os
import time
from dataclasses import dataclass, field


def _children_s() -> float:
    times = os.times()  # on Windows nothing is known of children, and no agent CLI runs there
    return times.children_user + times.children_system


@dataclass(frozen=True, slots=True)
class Effort:
    """Measures from its making on. Of this program's children only agent CLIs end meanwhile, and so count."""

    began_s: float = field(default_factory=time.monotonic)
    own_s: float = field(default_factory=time.process_time)
    children_s: float = field(default_factory=_children_s)

    def sentence(self, moments: int, at_once: int) -> str:
        """Say how long it took, and who took the processors' time."""
        took_s = time.monotonic() - self.began_s
        cli_s = (_children_s() - self.children_s) / moments
        own_s = (time.process_time() - self.own_s) / moments
        bound = "the start and work of the agent CLI" if cli_s > own_s else "this program"
        return (
            f"{moments} moments in {took_s:.1f} s, up to {at_once} at once. A rerun is bound by {bound}: for each "
            f"moment the agent CLI took {cli_s:.2f} s of a processor, and this program {own_s:.2f} s."
        )
