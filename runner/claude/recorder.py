"""How a run by Claude goes through the recording proxy: whose cassette, and what it may ask of whom."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["record", "rerun"]


@dataclass(frozen=True, slots=True)
class ModelRecorder:
    """What a replay gives to its runs. A single run that needs the proxy has one of its own.

    `cassette` is what the runs are kept on; None: their date is rewritten, and nothing is kept. In the mode `rerun`
    everything comes from it, and no credential is needed. `contamination` is what happens at a moment that a model may
    know the sequel of: it is refused before anything is paid, or labelled, or not judged at all. `may_ask` is called
    before each request that has to be paid; a reason ends the run. `ended` is called with each run's session of the
    proxy when it is over.
    """

    proxy: Any
    cassette: Any | None
    mode: Mode = "record"
    contamination: Literal["refuse", "label", "ignore"] = "label"
    may_ask: Callable[[], str | None] = lambda: None
    ended: Callable[[Any], None] = lambda _: None
