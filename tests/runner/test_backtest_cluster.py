"""`claude-trader backtest --vary --workers tls://…`: the real command, on a real cluster that asks for certificates."""

import json
from pathlib import Path

import pytest

from tests.rigs.dask_cluster import NEEDS_DASK, DaskCluster
from tests.rigs.tls_proxy import certificate
from tests.runner.conftest import trader_in

pytestmark = NEEDS_DASK
RULES = {"buy": "close > prev(close, 1) * 1.001", "sell": "close < prev(close, 1) * 0.999"}
CONFIG = {"name": "mine", "trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "4h", "rules": RULES}
ASKED = ["backtest", "mine", "--from", "2026-01-01", "--to", "2026-01-10", "--vary", "1.001=1.002,1.003", "--json"]


@pytest.mark.long
def test_the_command_enters_what_a_cluster_under_tls_computed_as_its_own(tmp_path: Path) -> None:
    pem = str(certificate("127.0.0.1", tmp_path))
    named = {
        f"DASK_DISTRIBUTED__COMM__TLS__{who}__{part}": pem
        for who in ("SCHEDULER", "WORKER")
        for part in ("CERT", "KEY")
    }
    mine = {f"DASK_DISTRIBUTED__COMM__TLS__CLIENT__{part}": pem for part in ("CERT", "KEY")}
    both = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": pem, "DASK_CONFIG": str(tmp_path / "dask")}
    answers = []
    with DaskCluster(tmp_path, **both, **named, DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME="tls") as rig:
        rig.start_worker()
        assert rig.address.startswith("tls://")
        for number, workers in enumerate((rig.address, "1")):
            home = tmp_path / str(number)
            (home / "strategies" / "mine").mkdir(parents=True)
            (home / "strategies" / "mine" / "config.json").write_text(json.dumps(CONFIG))
            done = trader_in(home, own_process=True)(*ASKED, "--workers", workers, **both, **mine)
            assert (done.code, done.err) == (0, "")
            answers.append(done.json)
    assert answers[0] == answers[1]
    assert answers[0]["trials"] == 3
