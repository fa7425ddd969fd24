"""The coins' names that come with the package."""

import json
from functools import cache
from importlib.resources import files

from mcp_server.domain.news.aliases import read_aliases
from mcp_server.domain.news.subjects import Subjects


@cache
def package_subjects() -> Subjects:
    """Return what finds the coins that headlines name; the file is read once."""
    return Subjects(read_aliases(json.loads((files("mcp_server.news") / "data" / "aliases.json").read_text("utf-8"))))
