"""Everything this project raises on purpose, named by who must act.

    TraderError
    ├── BadInput           the caller changes an argument or a file
    │   └── NotFound       nothing has that name; the message lists the nearest
    ├── NotSupported       this exchange, chain or moment cannot answer that question
    ├── Retryable          the same call may work later
    ├── UpstreamRejected   an outside system refused, or answered nonsense
    └── Misconfigured      the operator must act: a setting, a credential, a file

A message says what was wrong, what was expected and what to do next. It never carries a secret or a URL.
"""


class TraderError(Exception):
    """The root: catch it to catch every failure that has an explanation."""


class BadInput(TraderError):
    """An argument or a file is wrong; the caller can mend it."""


class NotFound(BadInput):
    """Nothing has that name."""


class NotSupported(TraderError):
    """The question is well formed, but this exchange, chain or moment cannot answer it."""


class Retryable(TraderError):
    """It did not work now; the same call may work later."""


RETRYABLE = "claude-trader/retryable"
"""What the `_meta` of a tool's error has as true where the error was a `Retryable`; its text alone would not say."""


class UpstreamRejected(TraderError):
    """An outside system refused the request or answered what cannot be used."""


class Misconfigured(TraderError):
    """The operator must act before this can work."""
