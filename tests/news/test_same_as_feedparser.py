"""Of feeds in good order we read the titles, links, guids and dates that feedparser reads."""

import calendar
import io
from collections.abc import Iterable

import feedparser
import pytest

from mcp_server.adapters.news.xml_feed import read_xml
from tests.rigs.news_feeds import Story, atom, rss

STORIES = [
    Story("Bitcoin & Ether rise", "https://news.example/1?a=1&b=2", "g-1", "Mon, 02 Mar 2026 12:00:00 GMT"),
    Story("Caf\u00e9: 5 \u20ac \u2013 \u6bd4\u7279\u5e01", "https://news.example/2", "https://news.example/2",
          "Mon, 02 Mar 2026 07:00:00 -0500"),
    Story("No guid", "https://news.example/3", None, "2026-03-02T12:00:00+09:00"),
    Story("No date", "https://news.example/4", "g-4"),
    Story("<b>Bold</b> &amp; quoted \"words\"", "https://news.example/5", "g-5", "2026-03-02T12:00:00Z"),
]  # fmt: skip
WORDPRESS = b"""<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>A paper</title><atom:link href="https://paper.example/feed" rel="self" type="application/rss+xml"/>
<link>https://paper.example</link><lastBuildDate>Mon, 02 Mar 2026 12:30:00 +0000</lastBuildDate>
<image><url>https://paper.example/i.png</url><title>A paper's image</title><link>https://paper.example</link></image>
<item><title><![CDATA[ Solana ETF: what's next? ]]></title><link>https://paper.example/solana</link>
<dc:creator><![CDATA[A Writer]]></dc:creator><pubDate>Mon, 02 Mar 2026 12:00:00 +0000</pubDate>
<category><![CDATA[Markets]]></category><guid isPermaLink="false">https://paper.example/?p=1</guid>
<media:content url="https://paper.example/s.png"><media:title>A picture</media:title></media:content>
<description><![CDATA[<p>Text</p>]]></description><content:encoded><![CDATA[<h1>More</h1>]]></content:encoded></item>
<item><title>Second</title><link>https://paper.example/2</link><guid isPermaLink="true">https://paper.example/2</guid>
<pubDate>Sun, 01 Mar 2026 23:59:59 EST</pubDate><source url="https://other.example/rss">Another paper</source></item>
</channel></rss>"""
RDF = b"""<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://bank.example/"><title>A bank</title></channel>
<item rdf:about="https://bank.example/1"><title>Rates stay</title><link>https://bank.example/1</link></item></rdf:RDF>"""
XHTML = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><entry><id>tag:blog.example,2026:1</id>
<title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">A <em>new</em> release</div></title>
<author><name>Somebody</name></author><link rel="edit" href="https://blog.example/edit/1"/>
<link href="https://blog.example/1"/><published>2026-03-02T12:00:00.5Z</published><updated>2026-03-03T12:00:00Z</updated>
</entry></feed>"""


def other(body: bytes) -> Iterable[tuple[str, str | None, str | None, int | None]]:
    read = feedparser.parse(io.BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    for entry in read.entries:
        date = entry["published_parsed"] if "published" in entry else None
        title = entry.title.replace("<em>", "").replace("</em>", "")
        yield title, entry.get("link"), entry.get("id"), None if date is None else calendar.timegm(date)


@pytest.mark.parametrize(
    "body",
    [rss(STORIES), atom(STORIES), rss(STORIES[:1], encoding="utf-16"), WORDPRESS, RDF, XHTML],
    ids=["rss", "atom", "utf-16", "wordpress", "rss 1.0", "xhtml"],
)
def test_a_feed_in_good_order_is_read_as_feedparser_reads_it(body: bytes) -> None:
    items, whole = read_xml(body, "application/xml")
    assert whole
    ours = [
        (item.title, item.url, item.guid, None if item.published_ms is None else item.published_ms // 1000)
        for item in items
    ]
    assert ours == list(other(body))
