"""The versions that figures depend on: two machines on which all are the same compute the same, bit for bit."""

from __future__ import annotations

import platform
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import mcp_server

PACKAGES = ("numpy", "TA-Lib", "pandas-ta-classic", "pandas", "duckdb", "distributed")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of this process, by what they are of."""
    return {
        "Claude Trader": f"{version('claude-trader')} ({_digest()})",
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "the processor": platform.machine(),
    }


def difference(here: dict[str, str], there: dict[str, str]) -> str:
    """Say what differs, here and there; return "" where nothing does."""
    names = [name for name in here | there if here.get(name) != there.get(name)]
    return "; ".join(f"{name} is {here.get(name)} here and {there.get(name)} there" for name in names)


def _digest() -> str:
    """Return a digest of the code that computes: checkouts of one version may differ."""
    digest = sha256()
    for file in sorted(Path(str(mcp_server.__file__)).parent.joinpath("domain").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
