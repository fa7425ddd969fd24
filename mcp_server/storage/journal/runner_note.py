"""What a runner tells the others of its journal: where it is, and what of each strategy it has adopted."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunnerNote:
    """One runner, by the key of its sign of life.

    `place` names its machine and process for people, `program` is its version of Claude Trader. `strategies` has the
    version of each strategy by its name, and its status there: `active` where it is scheduled, else why it is not.
    """

    key: str
    place: str
    program: str
    strategies: Mapping[str, tuple[str, str]]
