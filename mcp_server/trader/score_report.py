"""What the Python interface gives of figures: by name, and to a reader as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScoreReport:
    """Figures by name. A notebook, and `print`, show the sentences that say what they mean.

    Attributes:
        figures: what the tool answers, by the same names. Per cent is `_pct`, a rate is 0 to 1; None is undefined, or
            not known yet. `summary` has the sentences, `note` what else to know.
    """

    figures: Mapping[str, Any]

    def __repr__(self) -> str:
        return "\n".join(self._sentences())

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in self._sentences())

    def _sentences(self) -> list[str]:
        note = self.figures.get("note")
        return [*self.figures["summary"], *([note] if note else [])]
