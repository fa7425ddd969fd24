"""How the programs of this environment are typed, and how something is installed into it."""

import shlex
import shutil
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]


def typed(program: str) -> str:
    """Return a program of this environment as it can be typed here: its name, or its path where PATH lacks it."""
    path = unnamed(program)
    if path is None:
        return program
    here = Path.cwd()
    below = here in Path(path).parents[1:]
    return shlex.quote(str(Path(path).relative_to(here)) if below else path)


def unnamed(program: str) -> str | None:
    """Return the path of a program of this environment, or None where its name alone starts it."""
    own = shutil.which(program, path=str(Path(sys.executable).parent))
    named = shutil.which(program)
    return None if own is None or (named is not None and Path(named).samefile(own)) else own


def install(extra: str = "") -> str:
    """Return the command that installs this project here, with an extra such as `[claude]`: from its checkout."""
    if (_CHECKOUT / "pyproject.toml").is_file():
        place = "." if Path.cwd() == _CHECKOUT else str(_CHECKOUT)
        return f"{typed('pip')} install -e {shlex.quote(f'{place}{extra}')}"
    return f"{typed('pip')} install --upgrade {shlex.quote(f'claude-trader{extra}')}"
