"""A worker of a cluster keeps what it frees, though Dask has its memory returned at once."""

import os
import subprocess
import sys

import pytest

from runner.backtest.versions import versions
from tests.rigs.dask_cluster import NEEDS_DASK

pytestmark = NEEDS_DASK
FAULTS = """
import resource
import numpy as np
from runner.backtest.cluster_workers import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        np.ones(20_000).cumsum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

by_dask = faults()
keep_freed_memory()
faults()
print(by_dask, faults())
"""
AS_DASK_STARTS_IT = {"MALLOC_TRIM_THRESHOLD_": "65536"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system decides what is kept")
def test_arrays_of_a_variant_take_the_place_of_the_freed_ones() -> None:
    program = [sys.executable, "-c", FAULTS]
    said = subprocess.run(program, env={**os.environ, **AS_DASK_STARTS_IT}, capture_output=True, text=True, check=True)
    by_dask, kept = map(int, said.stdout.split())
    assert by_dask > 200 * 20, "each array's pages were new"
    assert kept < by_dask / 20


def test_each_call_on_a_worker_sees_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.backtest import cluster

    told: list[str] = []
    monkeypatch.setattr(cluster, "keep_freed_memory", lambda: told.append("kept"))
    assert cluster._call(versions(), told.copy) == ["kept"]
