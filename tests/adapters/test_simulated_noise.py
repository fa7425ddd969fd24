"""The noise that the simulated market is made of: the same, however much of it is asked for and wherever it is put."""

import numpy as np
import pytest

from mcp_server.adapters.simulated import noise

SEED, FIRST, COUNT = 2**63 - 5, -1000, 3000


def test_values_are_the_same_in_room_that_others_have_used() -> None:
    used = noise.room_for(COUNT + 7)
    used[:] = 0x123456789ABCDEF
    np.testing.assert_array_equal(noise.normals(SEED, FIRST, COUNT, used), noise.normals(SEED, FIRST, COUNT))
    np.testing.assert_array_equal(noise.hashes(SEED, FIRST, COUNT, used), noise.hashes(SEED, FIRST, COUNT))


@pytest.mark.parametrize("first", [-7, 0, 2**40])
def test_a_stretch_of_the_walk_is_that_part_of_a_longer_one(first: int) -> None:
    longer = noise.walk(SEED, first - 100, first + 900, step=0.01, octaves=20, bursts=0.5)
    np.testing.assert_array_equal(
        noise.walk(SEED, first, first + 300, step=0.01, octaves=20, bursts=0.5), longer[100:401]
    )


def test_normal_values_are_sums_of_four_uniform_ones_of_16_bits() -> None:
    lanes = noise.hashes(SEED, FIRST, COUNT).astype("<u8").view("<u2").reshape(COUNT, 4).astype(float)
    expected = (lanes.sum(axis=1) / 65535 - 2) * np.sqrt(3)
    np.testing.assert_array_equal(noise.normals(SEED, FIRST, COUNT), expected)
    np.testing.assert_array_equal(
        noise.uniforms(SEED, FIRST, COUNT), (noise.hashes(SEED, FIRST, COUNT) >> np.uint64(32)) / 2**32
    )
