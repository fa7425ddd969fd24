"""The wording of events: the user's own template in the home, else the built-in one."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from runner.notify.events import FIELDS, NONE, Kind

BUILT_IN: Mapping[Kind, str] = {
    "signal": "$strategy: $signal (before: $before)\n"
    "$symbol at $price, confidence $confidence, as of $as_of.\n$reasoning\n$record\nexecution $execution_id",
    "failure": "$strategy: no signal ($status)\n"
    "The run as of $as_of ended without a signal: $error\nexecution $execution_id",
    "paused": "$strategy is paused\n"
    "$failures runs in a row failed, the last one with: $error\n"
    "Once it is fixed: claude-trader strategies resume $strategy",
    "no_skill": "$strategy is paused: no skill\n"
    "Its $judged judged signals that do not overlap brought $mean_net_pct % each on average, after costs. If such "
    "signals truly brought $minimum_edge_pct % or more, evidence this strong against it would ever come up in at most "
    "$chance_pct % of cases (e-value $e_value, limit $limit).\n"
    "More: claude-trader score $strategy\n"
    "To go on: claude-trader strategies resume $strategy. Only signals given after that then count against it.",
    "budget": "$strategy: the day's budget is spent\n"
    "$spent_usd of $limit_usd US dollars are spent on $day (UTC). No model is asked before the next day.",
    "broken": "$strategy cannot be read\n$error\nclaude-trader strategies check $strategy lists all that is wrong.",
    "server": "Runs are held up\nSince $since: $problem",
    "not_judged": "Signals cannot be judged\n"
    "Since $since: $problem\nNothing is lost: what is due by then is judged once this is over.",
    "differ": "Machines differ\nSince $since: $problem",
    "summary": "Weekly summary\n$strategies\nAs of $as_of. claude-trader score NAME says more.",
    "test": "Claude Trader\nThis is a test: notifications arrive here.",
}
"""Kind → title in the first line, body in the others. A line that is nothing but a part that is empty is left out."""

MOST_BYTES = 10_000
MOST_BODY = 1_800
MOST_TITLE = 200


class Worded(NamedTuple):
    """A title, a body, and what was wrong with the user's own template, if anything."""

    title: str
    body: str
    problem: str | None = None


def worded(kind: Kind, fields: Mapping[str, str], templates: Path) -> Worded:
    """Word an event by `templates/<kind>.txt` if there is one that can be used, else by the built-in template."""
    values = {**dict.fromkeys(FIELDS[kind], NONE), **fields}
    file = templates / f"{kind}.txt"
    problem = None
    try:
        if file.is_file():
            return _filled(_read(file), values)
    except KeyError as error:
        known = ", ".join(f"${name}" for name in FIELDS[kind]) or "no names"
        problem = f"unknown name ${error.args[0]}; it may use {known}"
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except ValueError as error:
        problem = f"{error}; write $$ for a dollar sign"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or error}"
    built_in = _filled(BUILT_IN[kind], values)
    if problem is None:
        return built_in
    why = f"templates/{kind}.txt was not used: {problem}."
    return Worded(built_in.title, f"{built_in.body}\n({why})", why)


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES} bytes")
    if not (text := content.decode("utf-8-sig").strip()):
        raise ValueError("it is empty")
    return text


def _filled(template: str, values: Mapping[str, str]) -> Worded:
    empty = {f"${name}" for name, value in values.items() if not value}
    kept = "\n".join(line for line in template.splitlines() if line.strip() not in empty)
    title, _, body = Template(kept).substitute(values).strip().partition("\n")
    return Worded(title.strip()[:MOST_TITLE], (body.strip() or title.strip())[:MOST_BODY])
