"""The prompt run_strategy: it leads a host's own model through one run, from the claim to what the person is told."""

from collections.abc import Mapping

from mcp_server.domain.text import cleaned

_TEXT = """\
Run a trading strategy for a person, once, and record its signal. {which}

1. Call `run_strategy` with `strategy_name` alone. A strategy by rules has decided then: go on with step 4.
2. A strategy by Claude waits for you: its answer has `execution_id`, `as_of`, a time by which you must answer, a task,
   and `agents`. For each of these do what its prompt says, with the tools that it names and no others; where you can
   start agents of your own, let each do one. In every call pass exchange, symbol and this `as_of` word for word: only
   calls after step 1, of this market and moment, that succeeded, are evidence.
3. Call `run_strategy` with `strategy_name`, `execution_id` and `answer`, before the time is over. The first answer
   counts, and there is no second. Every figure in it is from a call that you made. Where the reports do not suffice,
   say decided: false. That is not HOLD, which is a decision.
4. Tell the person what is recorded: the signal with its confidence, its reasons and the price, or that the run ended
   without a signal, and why. Say that it is a signal, and no order or advice: nothing was bought or sold.
   `get_performance` with `runs` "manual" tells whether it was right, once its horizon is over.

Do not run it again because the result is not what you or the person hoped for. Each run leaves its row.
"""

_ONE = "It is {name!r}."
_OTHER = "{name!r} is none of them. {ask}"
_ASK = "Ask which one, and wait for the answer. There are: {names}."
_NONE = "There is none yet: the prompt design_strategy leads to one."

MOST_NAMES = 50
"""So many names are listed; list_strategies has them all."""


def run_strategy(strategy_name: str, known: Mapping[str, bool]) -> str:
    """Return the prompt's text; `known` has the names of all strategies, and whether each is only an example's."""
    name = cleaned(strategy_name, 64).strip()
    more = [f"and {len(known) - MOST_NAMES} more"] if len(known) > MOST_NAMES else []
    ask = _ASK.format(names=", ".join([*list(known)[:MOST_NAMES], *more])) if known else _NONE
    which = _ONE.format(name=name) if name in known else _OTHER.format(name=name, ask=ask) if name else ask
    return _TEXT.format(which=which)
