"""The package's feeds at their publishers: `make live`, where there is internet. Nothing else runs these."""

from datetime import UTC, datetime, timedelta

import pytest

from mcp_server.adapters.news.reader import NewsReader
from mcp_server.domain.news.feed import Feed
from mcp_server.domain.timeframes import to_ms
from mcp_server.news.feed_list import package_feeds

pytestmark = pytest.mark.live


@pytest.mark.parametrize("feed", package_feeds(), ids=lambda feed: feed.source)
async def test_a_feed_of_the_package_tells_headlines_of_late_with_their_times(feed: Feed) -> None:
    async with NewsReader() as reader:
        answer = await reader.read(feed)
    if answer.status in ("robots", "http_403", "http_451"):
        pytest.skip(f"{feed.source} refuses us here: {answer.status}")
    assert answer.status == "ok"
    assert answer.told
    assert answer.undated == 0
    latest = max(item.published_ms or 0 for item in answer.told)
    assert latest > to_ms(datetime.now(UTC) - timedelta(days=60))
