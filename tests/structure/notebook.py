"""The example notebook: runs it, and checks that what is exported for Jupyter is what it says today.

`make notebook` checks, `make ipynb` writes the export anew.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NOTEBOOK = Path("docs/notebooks/research.py")
EXPORT = NOTEBOOK.with_suffix(".ipynb")
HEADLESS = {**os.environ, "MPLBACKEND": "agg"}


def run() -> None:
    """Run the notebook as a script; an error or a warning in a cell ends this."""
    subprocess.run([sys.executable, "-W", "error", str(NOTEBOOK)], cwd=ROOT, env=HEADLESS, check=True)


def exported() -> str:
    """Return the notebook as marimo exports it, without what Jupyter does not need and what changes with marimo."""
    command = [sys.executable, "-m", "marimo", "--log-level", "ERROR", "export", "ipynb", str(NOTEBOOK)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    notebook: dict[str, Any] = json.loads(done.stdout)
    cells = [cell for cell in notebook["cells"] if "".join(cell["source"]).strip() != "import marimo as mo"]
    for number, cell in enumerate(cells):
        cell |= {"id": f"cell-{number}", "metadata": {}}
    kept = {"language_info": {"name": "python"}, "kernelspec": KERNEL}
    return json.dumps({**notebook, "cells": cells, "metadata": kept}, indent=1, ensure_ascii=False) + "\n"


KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main() -> None:
    if "--write" in sys.argv:
        (ROOT / EXPORT).write_text(exported(), encoding="utf-8", newline="\n")
        return
    if (ROOT / EXPORT).read_text(encoding="utf-8") != exported():
        sys.exit(f"{EXPORT} is not what {NOTEBOOK} says: run `make ipynb`.")
    run()


if __name__ == "__main__":
    main()
