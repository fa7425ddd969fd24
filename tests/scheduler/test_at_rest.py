"""What the two processes of `up` have imported once a run by rules is over, its report and its chart included.

It starts both programs as people do, and waits for the chart, so it takes some seconds: memory at rest is what these
imports make it, and `make memory` measures it.
"""

import json
import signal
from pathlib import Path

import psutil

from tests.rigs.running_up import RunningUp

RULES = {"timeframe": "1m", "indicators": ["rsi(14)"], "buy": "rsi_14 < 101"}
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1m", "rules": RULES}

TELLS = """
import os, signal, sys

def tell(*_):
    path = os.path.join(os.path.dirname(__file__), str(os.getpid()))
    with open(path + ".part", "w") as file:
        file.write("\\n".join(sys.modules))
    os.replace(path + ".part", path)

signal.signal(signal.SIGUSR1, tell)
"""

IN_NEITHER = {
    "PIL", "aiohttp", "apprise", "ccxt", "claude_agent_sdk", "cryptography", "kiwisolver", "matplotlib", "pandas",
    "pandas_ta_classic", "pygments", "rich",
}  # fmt: skip
NOT_IN_THE_RUNNER = {"numpy", "talib"}


def test_neither_process_keeps_what_only_charts_exchanges_or_people_need(home: Path, tmp_path: Path) -> None:
    folder, tells = home / "strategies" / "rules", tmp_path / "tells"
    folder.mkdir(parents=True)
    tells.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (tells / "sitecustomize.py").write_text(TELLS)
    with RunningUp(home, warm=False, environment={"PYTHONPATH": str(tells)}) as up:
        up.until(lambda: list((home / "analysis" / "rules").glob("*.png")))
        up.until(lambda: list((home / "analysis" / "rules").glob("*.md")))

        def imported(process: psutil.Process) -> set[str]:
            process.send_signal(signal.SIGUSR1)
            file = tells / str(process.pid)
            up.until(file.exists)
            return {name.partition(".")[0] for name in file.read_text().split()}

        assert imported(up.server()) & IN_NEITHER == set()
        assert imported(psutil.Process(up.process.pid)) & (IN_NEITHER | NOT_IN_THE_RUNNER) == set()
