"""A query on its way to the process that answers it, and the errors that come back."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from mcp_server.errors import BadInput, Misconfigured, NotFound, NotSupported, Retryable, TraderError
from mcp_server.storage.database_file import PATIENCE_S

MOST_PROCESSOR_S = 12

KINDS: dict[str, type[TraderError]] = {
    kind.__name__: kind for kind in (NotFound, BadInput, NotSupported, Retryable, Misconfigured)
}
"""The errors that the process can answer with; of two that fit, the first counts."""


@dataclass(frozen=True, slots=True)
class Question:
    """One query, as it goes to the process. `moment` is aware. `in_a_run`: a sub-agent asks.

    `time_limit_s` is what the query itself may take, `patience_s` how long it waits for the file.
    `journal_url`: of the Postgres that has the journal; it goes through a pipe, and is in no argument.
    """

    home: Path
    sql: str
    moment: datetime
    limit: int
    characters: int
    time_limit_s: float
    patience_s: float = PATIENCE_S
    in_a_run: bool = False
    journal_url: str | None = field(default=None, repr=False)

    def as_json(self) -> str:
        """Return it as one line."""
        return json.dumps({**asdict(self), "home": str(self.home), "moment": self.moment.isoformat()})

    @classmethod
    def of(cls, text: str) -> "Question":
        """Read it back."""
        values = json.loads(text)
        return cls(**{**values, "home": Path(values["home"]), "moment": datetime.fromisoformat(values["moment"])})


def not_begun() -> Retryable:
    """Make the error of a query that was not even begun: the time went into starting, or into copying its tables."""
    return Retryable(
        "The query has not begun: this machine was too busy to copy what it reads.",
        "Try again later, or read fewer tables.",
    )


def too_slow(limit_s: float, of: str = "") -> BadInput:
    """Make the error of a query that was stopped."""
    return BadInput(
        f"The query took longer than {limit_s:g} s{of} and was stopped.",
        "Filter by time or strategy, or join fewer rows.",
    )


def too_large() -> BadInput:
    """Make the error of a query that needs too much memory."""
    return BadInput("The query needs too much memory.", "Filter or aggregate before you join, and build no long texts.")
