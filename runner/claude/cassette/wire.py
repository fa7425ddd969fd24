"""What the agent CLI sends to the Messages API: rewritten for the as-of, and reduced to what a reply rests on.

Plain dicts in, plain dicts out; no argument is ever changed. The CLI speaks for itself in messages with the role
`system`, and in `<system-reminder>` elements of the user's: only there are its date, folder and budget looked for, so
that no word of a strategy, of a tool or of a model is touched. How it writes depends on the model: newer ones get one
message of paragraphs, older ones elements in the text, in blocks of their own, or at the end of a tool's answer.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

Body = dict[str, Any]

WORKING_FOLDER, OS_VERSION, SESSION = "/claude-trader", "Linux", "00000000-0000-4000-8000-000000000000"
"""What stands in a request in place of the run's temporary folder, the kernel's version and the session's id."""

START_TOOLS = ("Agent", "Task")
"""The tool that starts a sub-agent, by its names."""

_TEXTS = ("system", "messages")
"""The parts of a request in which the CLI may name its folder."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_OPENS = "<system-reminder>"
"""How an element begins: to look for it alone first takes a fraction of what the patterns take."""

_ELEMENT = r"<system-reminder>\n(?P<words>(?:(?!</?system-reminder>).)*)\n</system-reminder>"
_REMINDER = re.compile(rf"(?P<gap>\n\n)?{_ELEMENT}", re.DOTALL)
_AT_THE_END = re.compile(rf"(?:(?:\n\n)?{_ELEMENT.replace('?P<words>', '')}\n?)+\Z", re.DOTALL)
_DATE = re.compile(r"((?:Today's date|The UTC date) is) \d{4}-\d{2}-\d{2}")
_NEW_DATE = re.compile(r"The date has changed\.|The UTC date is now ")
_OS_VERSION = re.compile(r"^( *- OS Version: ).*$", re.MULTILINE)
_BUDGET = re.compile(r"USD budget: \$([\d.e+-]+)/\$[\d.e+-]+; \$[\d.e+-]+ remaining")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CUTOFF = re.compile(rf"Assistant knowledge cutoff is (?:\w+ )?({'|'.join(_MONTHS)}) (20\d\d)\b")
_AGENT_FOOTER = re.compile(r"\nagentId: [^\n]*\n<usage>((?:[a-z_]+: \d+\n)*)duration_ms: \d+</usage>\s*\Z")


def rewritten(body: Mapping[str, Any], as_of: datetime, folder: str) -> Body:
    """Return what is forwarded: the as-of's date in place of the CLI's, constants for what only this machine has.

    Args:
        body: a request as the CLI sent it.
        as_of: the run's moment; its date is that of UTC.
        folder: the folder of the run's CLI, as the CLI knows it.
    """
    elsewhere = partial(_elsewhere, names=_names_of_this_run(folder, _session(body)))
    moved = {name: _each_text(value, elsewhere) if name in _TEXTS else value for name, value in body.items()}
    dated = partial(_dated, day=f"{as_of.astimezone(UTC):%Y-%m-%d}")
    return {**moved, "messages": _spoken(moved.get("messages", []), dated)}


def canonical(body: Mapping[str, Any]) -> Body:
    """Return what the key of a rewritten request rests on: everything but what differs between two equal runs.

    Left out are the user's id, the budget so far, and a sub-agent's id and time in its report. The answers of tools
    that ran in parallel are put in the order of their calls' ids.
    """
    starts = _starts(body.get("messages", []))
    messages = [_in_order(message, starts) for message in body.get("messages", [])]
    return {**without_user(body), "messages": _spoken(messages, _without_budget)}


def without_user(body: Mapping[str, Any]) -> Body:
    """Return a request without the ids of the user, the device and the session that it names."""
    metadata = {name: value for name, value in (body.get("metadata") or {}).items() if name != "user_id"}
    return {**body, "metadata": metadata}


def key_of(body: Mapping[str, Any]) -> str:
    """Return the name under which the reply to a rewritten request is kept."""
    content = json.dumps(canonical(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def cutoff_of(words: Iterable[str]) -> str | None:
    """Return the month of the model's knowledge cutoff as the CLI's words state it, `2026-06`; None: they do not.

    Of several the latest counts: whoever copies the CLI's words into a prompt can make no model look cleaner.
    """
    stated = (month for text in words for month in _CUTOFF.finditer(text))
    return max((f"{month[2]}-{_MONTHS.index(month[1]) + 1:02d}" for month in stated), default=None)


def stated_usd(words: Iterable[str]) -> Decimal:
    """Return how many US dollars the CLI has spent in its run so far by its own words; 0 where it says nothing."""
    stated = [budget[1] for text in words for budget in _BUDGET.finditer(text)]
    try:
        return max(map(Decimal, stated), default=Decimal(0))
    except InvalidOperation:  # in a way that is not known here
        return Decimal(0)


def shows_date(words: Iterable[str], *days: date) -> bool:
    """Return whether one of these days stands in the CLI's words, in any way that a date may be written."""
    pattern, numbers = _written(days)
    lines = (line for text in words for line in text.splitlines())
    return any(
        any(year in line and day in line for year, day in numbers) and pattern.search(line) is not None
        for line in lines
    )


@lru_cache(maxsize=8)
def _written(days: tuple[date, ...]) -> tuple[re.Pattern[str], list[tuple[str, str]]]:
    """Return how these days may be written, and the digits of year and day without which none of them is."""
    numbers = [(f"{day:%y}", str(day.day)) for day in days]
    return re.compile(rf"(?<!\d)(?:{'|'.join(map(_ways_to_write, days))})(?!\d)", re.IGNORECASE), numbers


def _ways_to_write(day: date) -> str:
    month = _MONTHS[day.month - 1]
    name, number = rf"{month[:3]}(?:{month[3:]})?\.?", rf"0?{day.day}(?:st|nd|rd|th|\.)?"
    ways = (
        rf"{day:%Y}[-/.]?{day:%m}[-/.]?{day:%d}",
        rf"{name} {number},? (?:[\d:]+ )?(?:[A-Z]+ )?{day:%Y}",
        rf"{number} (?:of )?{name},? {day:%Y}",
        rf"0?{day.month}/0?{day.day}/(?:{day:%Y}|{day:%y})",
        rf"0?{day.day}[./]0?{day.month}[./](?:{day:%Y}|{day:%y})",
    )
    return "|".join(ways)


def own_words(body: Mapping[str, Any]) -> list[str]:
    """Return the texts in which the CLI speaks for itself."""
    words: list[str] = []
    for message in body.get("messages", []):
        if message["role"] == "system":
            words += _texts(message.get("content"))
        elif message["role"] == "user":
            marked = (text for text in _texts(message.get("content")) if _OPENS in text)
            words += (element["words"] for text in marked for element in _REMINDER.finditer(text))
    return words


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of a value with each text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(part, change) for part in value]
    return {name: _each_text(part, change) for name, part in value.items()} if isinstance(value, dict) else value


def _spoken(messages: Iterable[Body], change: Callable[[str], str]) -> list[Body]:
    """Return messages with each paragraph of the CLI's own words changed; one of which nothing is left goes."""
    spoken = []
    for message in messages:
        by_text = {"system": _paragraphs, "user": _elements}.get(message["role"])
        content = _content(message["content"], partial(by_text, change=change)) if by_text else message["content"]
        if content or not message["content"]:
            spoken.append({**message, "content": content})
    return spoken


def _content(content: Any, by_text: Callable[[str], str]) -> Any:
    """Return a text, or blocks, with each text changed; a block of text of which nothing is left goes."""
    if isinstance(content, str):
        return by_text(content)
    blocks = []
    for block in content:
        changed = dict(block)
        for name in ("text", "content"):
            if isinstance(block.get(name), str | list):
                changed[name] = _content(block[name], by_text)
        if block.get("type") != "text" or changed["text"] or not block["text"]:
            blocks.append(changed)
    return blocks


def _paragraphs(text: str, change: Callable[[str], str]) -> str:
    paragraphs = ((before, change(before)) for before in _elements(text, change).split("\n\n"))
    return "\n\n".join(after for before, after in paragraphs if after or not before)


def _elements(text: str, change: Callable[[str], str]) -> str:
    """Change the words in the CLI's elements; an element of which nothing is left goes."""

    def changed(element: re.Match[str]) -> str:
        words = change(element["words"])
        return f"{element['gap'] or ''}<system-reminder>\n{words}\n</system-reminder>" if words else ""

    if _OPENS not in text:
        return text
    after = _REMINDER.sub(changed, text)
    return after if after == text or after.strip() else ""


def _names_of_this_run(folder: str, session: str | None) -> list[tuple[str, str]]:
    """Return what stands for the run's folder, also where the CLI makes a name of it, and for its session's id."""
    paths = [(path, WORKING_FOLDER) for path in (f"{folder}/cwd", folder)]
    names = [(re.sub(r"[^A-Za-z0-9]", "-", path), re.sub(r"[^A-Za-z0-9]", "-", other)) for path, other in paths]
    return [*paths, *names, *([(session, SESSION)] if session else [])]


def _elsewhere(text: str, names: list[tuple[str, str]]) -> str:
    for name, other in names:
        text = text.replace(name, other)
    return text


def _session(body: Mapping[str, Any]) -> str | None:
    try:
        session = json.loads((body.get("metadata") or {})["user_id"])["session_id"]
    except (KeyError, TypeError, ValueError):
        return None
    return session if _UUID.fullmatch(str(session)) else None


def _dated(words: str, day: str) -> str:
    """Return a paragraph of the CLI's as if it ran on that day; the news that the date has changed is none."""
    if _NEW_DATE.match(words):
        return ""
    return _OS_VERSION.sub(rf"\g<1>{OS_VERSION}", _DATE.sub(rf"\g<1> {day}", words))


def _without_budget(words: str) -> str:
    return "" if _BUDGET.fullmatch(words) else words


def _starts(messages: Iterable[Body]) -> set[str]:
    """Return the ids of the calls that start sub-agents."""
    replies = (message["content"] for message in messages if message["role"] == "assistant")
    blocks = (block for content in replies if isinstance(content, list) for block in content)
    return {block["id"] for block in blocks if block.get("type") == "tool_use" and block["name"] in START_TOOLS}


def _in_order(message: Body, starts: set[str]) -> Body:
    """Return a message with the answers of tools in the order of their calls.

    What the CLI has put behind the answer that came last, whichever that is, stands behind all of them, and a mark for
    the cache stays at its place.
    """
    if message["role"] != "user" or isinstance(message["content"], str):
        return message
    content: list[Any] = []
    for is_answer, group in groupby(message["content"], lambda block: bool(block.get("type") == "tool_result")):
        blocks = list(group)
        content += _answers(blocks, starts) if is_answer else blocks
    return {**message, "content": content}


def _answers(blocks: list[Body], starts: set[str]) -> list[Body]:
    parted = [_parted(block) for block in blocks]
    answers = sorted((answer for answer, _ in parted), key=lambda answer: str(answer["tool_use_id"]))
    marks = [block.get("cache_control") for block in blocks]
    marked = [
        {**(_each_text(answer, _without_footer) if answer["tool_use_id"] in starts else answer), "cache_control": mark}
        for answer, mark in zip(answers, marks, strict=True)
    ]
    return [*marked, *({"type": "text", "text": behind} for _, reminders in parted for behind in reminders)]


def _parted(block: Body) -> tuple[Body, list[str]]:
    """Return a tool's answer, and the CLI's elements behind it."""
    content = block.get("content")
    if isinstance(content, str):
        behind = _AT_THE_END.search(content) if _OPENS in content else None
        return ({**block, "content": content[: behind.start()]}, _elements_of(behind[0])) if behind else (block, [])
    parts, reminders = list(content or []), list[str]()
    while parts and parts[-1].get("type") == "text" and _AT_THE_END.fullmatch(parts[-1]["text"]):
        reminders[:0] = _elements_of(parts.pop()["text"])
    if reminders and parts and parts[-1].get("type") == "text":  # the CLI ends the text before with a line break
        parts[-1] = {**parts[-1], "text": parts[-1]["text"].removesuffix("\n")}
    return {**block, "content": parts}, reminders


def _elements_of(text: str) -> list[str]:
    return [element[0].strip() for element in _REMINDER.finditer(text)]


def _without_footer(text: str) -> str:
    return _AGENT_FOOTER.sub(r"\nagentId: -\n<usage>\g<1>duration_ms: -</usage>", text)
