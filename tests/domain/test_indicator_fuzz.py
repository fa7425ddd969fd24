"""A thousand bad specs: each is taught how to ask, and none wants unbounded work."""

import random

import pytest

from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.indicator import MOST_HISTORY
from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.errors import BadInput, NotFound

BAD = 1_000
PIECES = (
    *("(", ")", ",", "=", ".", " of ", "of", "((", "))", ",,", ";", "--", "/*", "'", '"', "\n", "\0", "é", "١٤", "🙈"),
    *("1000000", "-1", "0", "1e308", "nan", "inf", "0x10", "1_0", "9" * 30, "timeperiod", "close", "vol", "high"),
)


def spoilt(rng: random.Random) -> str:
    """Return a good spec with something wrong put in, taken out or turned round; it may be good again."""
    entry = catalog.find(rng.choice(catalog.names()))
    letters = list(entry.signature if rng.random() < 0.5 else f"{entry.name}({rng.choice(PIECES)})")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(letters) + 1)
        match rng.randrange(4):
            case 0:
                letters[at:at] = rng.choice(PIECES)
            case 1:
                del letters[at : at + rng.randint(1, 3)]
            case 2:
                letters[at:at] = f" of {rng.choice(catalog.names())}({rng.choice(PIECES)})"
            case _:
                letters.insert(at, chr(rng.randrange(32, 0x2FFF)))
    return "".join(letters)


def refusal(text: str) -> str | None:
    """Return the error of a bad spec; check a good one's bounds."""
    try:
        spec = parse_spec(text)
    except (BadInput, NotFound) as error:
        return str(error)
    assert spec.warm_up < MOST_HISTORY
    assert 250 <= spec.history <= MOST_HISTORY
    return None


@pytest.mark.parametrize("most", [200, pytest.param(BAD, marks=pytest.mark.long)])
def test_a_thousand_bad_specs_are_each_taught_how_to_ask(most: int) -> None:
    rng = random.Random(4)  # noqa: S311 - the same specs each time
    refused = 0
    while refused < most:
        error = refusal(text := spoilt(rng))
        if error is not None:
            refused += 1
            assert 20 <= len(error) <= 700, text
            assert error.rstrip()[-1] in ".?", text


@pytest.mark.parametrize(
    "text",
    [
        *("ema(1000000)", "ema(1000) of ema(1000) of ema(1000)", "kst(1000,1000,1000,1000)", "rainbow(1000)"),
        *("stochrsi(1000,1000,1000)", "x" * 100_000, "(" * 100_000, "rsi" + " of rsi" * 10_000, "mavp(1,1000)"),
    ],
)
def test_no_spec_wants_unbounded_work(text: str) -> None:
    """It is refused in a few words, or wants no more candles than any other may."""
    assert len(refusal(text) or "") <= 700
