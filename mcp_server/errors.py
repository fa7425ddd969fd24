"""Everything this project raises on purpose, named by who must act.

    TraderError
    ├── BadInput           the caller changes an argument or a file
    │   └── NotFound       nothing has that name; the message lists the nearest
    │       └── UnknownExchange
    ├── NotSupported       this exchange, chain or moment cannot answer that question
    ├── Retryable          the same call may work later
    │   └── NoSpace        the disk is full
    ├── UpstreamRejected   an outside system refused, or answered nonsense
    └── Misconfigured      the operator must act: a setting, a credential, a file

An error has two parts: the problem (what was wrong and what was expected) and the remedy (what to do next). People
and models read both, one after the other; code that needs only one of them takes the attribute. Neither part ever
carries a secret or a URL, and no logic reads their words: where code must tell errors apart, they are classes.
"""


class TraderError(Exception):
    """The root of all errors that have an explanation.

    Args:
        problem: what was wrong, as whole sentences.
        remedy: what to do about it, as whole sentences; empty where the problem says all there is to say.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()

    def again(self) -> "TraderError":
        """Return the same error for another caller, with a traceback of its own, whatever its class is made from."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin


class BadInput(TraderError):
    """An argument or a file is wrong; the caller can mend it."""


class NotFound(BadInput):
    """Nothing has that name."""


class UnknownExchange(NotFound):
    """No exchange has that name."""


class NotSupported(TraderError):
    """The question is well formed, but this exchange, chain or moment cannot answer it."""


class Retryable(TraderError):
    """It did not work now; the same call may work later."""


class NoSpace(Retryable):
    """The disk of the home is full, or this user's share of it. Nothing was changed."""

    def __init__(self, path: object) -> None:
        super().__init__(f"No space is left on the disk of {str(path)!r}.", "Free some disk space, and try again.")


KIND, PROBLEM, REMEDY = "claude-trader/kind", "claude-trader/problem", "claude-trader/remedy"
"""The keys of an error's parts in the `_meta` of a tool's answer: the name of its class, what was wrong, what to do.
The answer's text has only problem and remedy, in one."""

RETRYABLE = "claude-trader/retryable"
"""True there for a `Retryable`, and left out for any other error."""


class UpstreamRejected(TraderError):
    """An outside system refused the request or answered what cannot be used."""


class Misconfigured(TraderError):
    """The operator must act before this can work."""


def root(error: BaseException) -> BaseException:
    """Return the error itself from inside the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
