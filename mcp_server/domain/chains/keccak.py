"""Keccak-256, the hash of Ethereum: SHA-3 as it was before its padding changed.

Written out (FIPS 202, section 3), because the library for it comes without a wheel for macOS and Windows, where an
installation would then need a compiler. It takes about a millisecond, and only a checksum needs it.
"""

ROUNDS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip
"""What each round adds to the first lane."""

TURNS = (0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14)
"""By how many bits each lane is turned; the lane of column x and row y is the one at x + 5y."""

RATE = 136
"""Bytes of a block."""

WORD = 2**64 - 1


def keccak256(data: bytes, padding: int = 0x01) -> bytes:
    """Return the 32 bytes of the hash. With the padding 0x06 it is SHA3-256."""
    padded = bytearray(data) + bytes([padding]) + bytes(-(len(data) + 1) % RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), RATE):
        for place in range(RATE // 8):
            at = start + 8 * place
            lanes[place] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    for constant in ROUNDS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [lane ^ columns[(at + 4) % 5] ^ _turned(columns[(at + 1) % 5], 1) for at, lane in enumerate(lanes)]
        moved = [0] * 25
        for at, lane in enumerate(mixed):
            y, x = divmod(at, 5)
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _turned(lane, TURNS[at])
        lanes = [
            lane ^ (~moved[at - at % 5 + (at + 1) % 5] & moved[at - at % 5 + (at + 2) % 5] & WORD)
            for at, lane in enumerate(moved)
        ]
        lanes[0] ^= constant
    return lanes


def _turned(lane: int, bits: int) -> int:
    return (lane << bits | lane >> (64 - bits)) & WORD
