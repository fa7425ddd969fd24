"""A random walk that can be asked for any stretch of it, without walking there from its beginning.

The walk is a sum of octaves: octave k has one random value at every 2^k-th point and straight lines in between. Values
come from a counter-based hash of (seed, octave, point), so every stretch is the same whoever asks for it, and when. An
amplitude that grows with the square root of the distance makes it look like a Brownian path.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_TWO_LANES = np.uint64(0x0000FFFF0000FFFF)
_ADD_HALVES = np.uint64(1 << 32 | 1)
"""By which a product's upper half is the sum of both halves, as long as that has 32 bits."""


def mixed(number: int) -> int:
    """Mix 64 bits (the finaliser of splitmix64, Steele, Lea and Flood 2014)."""
    number = (number + _GOLDEN) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def hashes(seed: int, first: int, count: int, room: Hashes | None = None) -> Hashes:
    """Return 64 random bits for each of the points first … first + count - 1, shape (count,).

    They are written into the first of two rows of `room`, if it is given, and the second is overwritten.
    """
    room = room_for(count) if room is None else room[:, :count]
    bits: Hashes = room[0]
    shifted: Hashes = room[1]
    bits[:] = np.arange(first, first + count, dtype=np.int64).view(np.uint64)
    bits *= np.uint64(_GOLDEN)
    bits += np.uint64(mixed(seed))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= np.right_shift(bits, np.uint64(shift), out=shifted)
        bits *= np.uint64(factor)
    bits ^= np.right_shift(bits, np.uint64(31), out=shifted)
    return bits


def room_for(count: int) -> Hashes:
    """Return room for the hashes or values of so many points: memory that is new takes longer than to fill it."""
    return np.empty((2, count), dtype=np.uint64)


def uniforms(seed: int, first: int, count: int) -> Floats:
    """Return values from 0 up to, but not, 1 in steps of 2^-32, shape (count,)."""
    bits = hashes(seed, first, count)
    bits >>= np.uint64(32)
    values = bits.view(np.int64).astype(np.float64)  # from signed ones, as processors do it
    values /= 2**32
    return values


def normals(seed: int, first: int, count: int, room: Hashes | None = None) -> Floats:
    """Return near-normal values (mean 0, variance 1, within ±3.5), shape (count,): sums of four 16-bit uniforms.

    They are written into the first row of `room`, if it is given, and the second is overwritten.
    """
    room = room_for(count) if room is None else room[:, :count]
    bits = hashes(seed, first, count, room)
    pairs = np.bitwise_and(bits, _TWO_LANES, out=room[1])
    bits >>= np.uint64(16)
    bits &= _TWO_LANES
    pairs += bits
    pairs *= _ADD_HALVES
    pairs >>= np.uint64(32)
    values = bits.view(np.float64)
    values[:] = pairs.view(np.int64)  # from signed ones, as processors do it
    values /= 65535
    values -= 2
    values *= np.sqrt(3)
    return values


def walk(seed: int, first: int, last: int, *, step: float, octaves: int, bursts: float) -> Floats:
    """Return the walk at the points first … last, both included.

    Args:
        seed: which walk.
        first: the first point; may be negative.
        last: the last point.
        step: standard deviation of a difference between neighbours, about; over n points it is √n times that.
        octaves: how many; the slowest moves over 2^(octaves - 1) points.
        bursts: how much volatility varies over days and weeks of points: 0 not at all, 0.5 about threefold.

    Returns:
        The walk, of shape (last - first + 1,).
    """
    amplitude = step / np.sqrt(6)  # √6: what the octaves around a distance add up to
    level, heat = np.zeros(0), np.zeros(0)
    low = high = 0
    room = room_for(last - first + 2)
    for octave in reversed(range(octaves)):
        begin, end = first >> octave, (last >> octave) + 1
        if octave == octaves - 1:
            level, heat = np.zeros(end - begin + 1), np.zeros(end - begin + 1)
        else:
            part = slice(begin - 2 * low, end - 2 * low + 1)
            level, heat = _finer(level)[part], _finer(heat)[part]
        low, high = begin, end
        if octave in _HEAT_OCTAVES:
            heat += bursts * normals(mixed(seed ^ (octave + 1) << 32), low, high - low + 1)
        values = normals(seed + octave, low, high - low + 1, room)
        if octave < min(_HEAT_OCTAVES):
            values *= np.exp(heat, out=room[1, : len(heat)].view(np.float64))
        values *= amplitude * np.sqrt(2.0**octave)
        level += values
    return level[: last - first + 1]


_HEAT_OCTAVES = (13, 16)
"""Volatility changes over 2^13 and 2^16 points: 34 hours and 11 days of 15 s."""


def _finer(values: Floats) -> Floats:
    """Put a point half way between each two."""
    finer = np.empty(2 * len(values) - 1)
    finer[::2] = values
    between = values[1:] + values[:-1]
    between *= 0.5  # here, as arithmetic with every second value takes twice as long
    finer[1::2] = between
    return finer
