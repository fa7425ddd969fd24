"""What a rerun takes, and what bounds it: nothing is asked, so what is left is the agent CLI and this program."""

import resource
import time
from dataclasses import dataclass, field


def _processor_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True, slots=True)
class Effort:
    """Measures from its making on. Of this program's children only agent CLIs end meanwhile, and so count."""

    began_s: float = field(default_factory=time.monotonic)
    own_s: float = field(default_factory=lambda: _processor_s(resource.RUSAGE_SELF))
    children_s: float = field(default_factory=lambda: _processor_s(resource.RUSAGE_CHILDREN))

    def sentence(self, moments: int, at_once: int) -> str:
        """Say how long it took, and who took the processors' time."""
        took_s = time.monotonic() - self.began_s
        cli_s = (_processor_s(resource.RUSAGE_CHILDREN) - self.children_s) / moments
        own_s = (_processor_s(resource.RUSAGE_SELF) - self.own_s) / moments
        bound = "the start and work of the agent CLI" if cli_s > own_s else "this program"
        return (
            f"{moments} moments in {took_s:.1f} s, up to {at_once} at once. A rerun is bound by {bound}: for each "
            f"moment the agent CLI took {cli_s:.2f} s of a processor, and this program {own_s:.2f} s."
        )
