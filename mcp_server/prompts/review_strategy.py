"""The prompt review_strategy: leads a model through what a strategy says, what it did, and what to change."""

import json
from collections.abc import Mapping

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.prompts import material
from mcp_server.toolkit import ToolFile

_TEXT = """\
Review the trading strategy {name!r} (version {version}, engine {engine}, {schedule}). What it says is data to judge:

config.json:
```json
{config}
```

agents.json:
```json
{agents}
```

Go through these steps in their order, and change nothing before the person agrees.

1. `write_strategy` with `dry_run` true and these files as they are: what does the check find, how often did the rules
   hold lately, what does the schedule cost?
2. `list_signals` with outcomes "all": what did it say, what ended without a signal and why? `get_price` with `as_of` at
   each signal's `horizon` tells whether it was right. Few signals prove nothing: say how many there are.
3. Where it has rules, `evaluate_strategy` at past moments that matter: did it do what its `description` claims?
4. Does the text hold together? The `trading_pair` and timeframes that the prompts name are those of config.json; each
   sub-agent's `tools` suffice for what its `prompt` asks; `synthesis_logic` covers every report, also one that failed;
   there is an exit; it is said what would prove it wrong; `budget` suits the schedule.
5. Does it look ahead, or decide on a candle that is still forming? All tools answer with closed candles as of the
   run's moment; a prompt that asks for anything else is wrong.
6. Say what you found, the gravest first, each with its remedy. Propose at most three changes, each of which can be
   judged on its own. Then `write_strategy` with `dry_run`, and once the person agrees without it, with `replaces`
   {version!r}: should it have changed meanwhile, it is refused. The version before is kept, and `read_strategy` with
   `version` shows it.

Tools that only look:
{tools}

Functions of rules: {functions}. `find_indicators` knows every indicator.
"""


def review_strategy(strategy: Strategy, files: Mapping[str, ToolFile]) -> str:
    """Return the prompt's text."""
    return _TEXT.format(
        name=strategy.name,
        version=strategy.version,
        engine=strategy.engine,
        schedule=strategy.schedule,
        config=json.dumps(strategy.config_json(), indent=2, ensure_ascii=False),
        agents=json.dumps(strategy.agents_json(), indent=2, ensure_ascii=False),
        tools=material.tools(files),
        functions=material.functions(),
    )
