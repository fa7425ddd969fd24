"""Days of collecting at random: doubles, edits, failures, gaps, and times that cannot be."""

import random

from mcp_server.domain.news.item import Told
from mcp_server.domain.news.stories import FRESH_MS
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NewsDesk, told

WORDS = ("Bitcoin rises", "Bitcoin falls below", "Ether gains", "Fed holds rates at", "Solana and bitcoin gain")
SOURCES = ("coindesk", "decrypt", "okx")


def random_days(desk: NewsDesk, chance: random.Random, fetches: int) -> list[int]:
    """Enter feeds at random for some days, with doubles, edits, gaps and impossible times; return the moments."""
    moments = []
    for _ in range(fetches):
        desk.now_ms += chance.choice([MINUTE, *[10 * MINUTE] * 20, HOUR, 3 * HOUR, DAY])
        if chance.random() < 0.15:
            desk.enter(source=chance.choice(SOURCES), status="http_503")
        elif chance.random() < 0.1:
            index = Told(
                str(desk.now_ms // DAY), None, "Fear & Greed Index 5: Fear", desk.now_ms, chance.random() * 100
            )
            desk.enter(index, source="fear_greed", kind="index")
        else:
            items = [random_item(chance, desk.now_ms) for _ in range(chance.randrange(4))]
            desk.enter(*items, source=chance.choice(SOURCES), kind="press")
        moments += [desk.now_ms, desk.now_ms + 1, desk.now_ms + chance.randrange(HOUR)]
    return moments


def random_item(chance: random.Random, now_ms: int) -> Told:
    published = chance.choice([None, now_ms + DAY, now_ms - FRESH_MS - HOUR, *[now_ms - MINUTE] * 5])
    text = f"{chance.choice(WORDS)} {chance.randrange(20)}"
    return told(str(chance.randrange(60)), text, published)
