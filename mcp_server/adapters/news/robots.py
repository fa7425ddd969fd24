"""Which paths of a site its robots.txt leaves to us, by RFC 9309: the longest rule that fits decides."""

from dataclasses import dataclass

OUR_NAME = "claude-trader"
MOST_RULES = 2_000


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one site that hold for us: patterns of paths, and whether each is allowed."""

    rules: tuple[tuple[str, bool], ...] = ()

    def allows(self, path: str) -> bool:
        """Return whether we may read a path, its query included; of two rules of one length `Allow` counts."""
        fitting = [(len(pattern), allowed) for pattern, allowed in self.rules if _fits(pattern, path)]
        return max(fitting, default=(0, True))[1]


def robots_of(text: str) -> Robots:
    """Read a robots.txt: the groups that name us, else those for everybody. What it does not understand is left out."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    named: set[str] = set()
    in_rules = True
    for line in text.splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            named, in_rules = set() if in_rules else named, False
            if value.lower() in (OUR_NAME, "*"):  # of others nothing is kept: there may be any number of them
                named.add(value.lower())
                groups.setdefault(value.lower(), [])
        elif key in ("allow", "disallow"):
            in_rules = True
            for name in named:
                if value and len(groups[name]) < MOST_RULES:
                    groups[name].append((value, key == "allow"))
    return Robots(tuple(groups.get(OUR_NAME, groups.get("*", []))))


def _fits(pattern: str, path: str) -> bool:
    """Return whether a pattern, in which `*` is any text and `$` at the end is the end, begins a path."""
    ends = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for number, part in enumerate(others):
        if ends and number == len(others) - 1:
            return path.endswith(part) and len(path) - len(part) >= at
        place = path.find(part, at)
        if place < 0:
            return False
        at = place + len(part)
    return not ends or at == len(path)
