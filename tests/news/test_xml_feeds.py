"""RSS and Atom as publishers write them: headline, link, guid and a certain time come out, and nothing else."""

from contextlib import suppress
from xml.sax.saxutils import escape

import pytest

from mcp_server.adapters.news.items import MOST_ITEMS, told_items
from mcp_server.adapters.news.web import MOST_BYTES, NotRead
from mcp_server.adapters.news.xml_feed import read_xml
from mcp_server.domain.news.item import MAX_HEADLINE, Told
from tests.acceptance.hostile_texts import HALVES, TEXTS, hidden
from tests.rigs.news_feeds import BOMB, Story, atom, rss
from tests.rigs.sampled import sampled

NOON_MS = 1_772_452_800_000
NOON = "Mon, 02 Mar 2026 12:00:00 GMT"


def told(body: bytes, content_type: str = "application/rss+xml") -> list[Told]:
    items, whole = read_xml(body, content_type)
    assert whole
    return told_items(items, "https://news.example/rss")


def one(body: bytes, content_type: str = "application/rss+xml") -> Told:
    (item,) = told(body, content_type)
    return item


def item(markup: str) -> bytes:
    namespaces = (
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/" '
        'xmlns:a="http://www.w3.org/2005/Atom"'
    )
    channel = f"<title>Feed</title><pubDate>{NOON}</pubDate><item>{markup}</item>"
    return f'<rss version="2.0" {namespaces}><channel>{channel}</channel></rss>'.encode()


def test_rss_and_atom_tell_the_same_item() -> None:
    story = Story("Bitcoin rises", "https://news.example/1", "id-1", NOON)
    wanted = Told("id-1", "https://news.example/1", "Bitcoin rises", NOON_MS)
    assert one(rss([story])) == wanted
    story.published, story.updated = "2026-03-02T13:00:00+01:00", "2026-03-05T12:00:00Z"
    assert one(atom([story])) == wanted


def test_rss_1_tells_its_items_too() -> None:
    body = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
      xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>Feed</title></channel>
      <item rdf:about="https://news.example/1"><title>Bitcoin rises</title><link>https://news.example/1?a=1&amp;b=2</link>
      <dc:date>2026-03-02T12:00:00Z</dc:date></item></rdf:RDF>"""
    wanted = Told("https://news.example/1", "https://news.example/1?a=1&b=2", "Bitcoin rises", NOON_MS)
    assert one(body.encode()) == wanted


@pytest.mark.parametrize(
    "markup",
    [
        "", "<pubDate>yesterday</pubDate>", "<pubDate>2026-03-02 12:00:00</pubDate>", "<pubDate/>",
        "<a:updated>2026-03-02T12:00:00Z</a:updated>", f"<lastBuildDate>{NOON}</lastBuildDate>",
        f"<pubDate>{NOON}</pubDate><pubDate>Mon, 02 Mar 2026 12:00:01 GMT</pubDate>",
        f"<pubDate>{NOON}</pubDate><dc:date>soon</dc:date>",
        f"<media:content><pubDate>{NOON}</pubDate></media:content>",
        f"<media:pubDate>{NOON}</media:pubDate>", f"<description>{NOON}</description>",
    ],
)  # fmt: skip
def test_an_item_without_one_certain_date_of_its_own_is_undated(markup: str) -> None:
    assert one(item(f"<title>Bitcoin</title>{markup}")).published_ms is None


def test_two_dates_that_agree_are_one() -> None:
    markup = f"<title>Bitcoin</title><pubDate>{NOON}</pubDate><dc:date>2026-03-02T13:00:00+01:00</dc:date>"
    assert one(item(markup)).published_ms == NOON_MS


@pytest.mark.parametrize(
    ("title", "headline"),
    [
        ("AT&amp;T buys", "AT&T buys"), ("AT&amp;amp;T buys", "AT&T buys"), ("<![CDATA[AT&T &amp; co]]>", "AT&T & co"),
        ("&lt;b&gt;Big&lt;/b&gt; day", "Big day"), ("<![CDATA[Big<br/>day <a href='x'>x</a>]]>", "Big day x"),
        ("3 &lt; 5 and 5 &gt; 3", "3 < 5 and 5 > 3"), ("&amp;amp;lt;b&amp;amp;gt;", "&lt;b&gt;"),
        ("\n  Bitcoin\n   rises ", "Bitcoin rises"), ("AT&T buys", "AT&T buys"), ("Caf&eacute; &nbsp;&copy;", "Café ©"),
        ("Bad \x01 &#0;&#xD800; character", "Bad \ufffd\ufffd character"), ("U\u202eSD\u200bT", "USDT"),
        ("x" * 500, "x" * 299 + "…"),
        ("<b>Big</b> day", "Big day"), ("&lt;!-- no --&gt;Yes", "Yes"),
        ("Yes &lt;!-- no &lt;!-- no", "Yes"), ("&bogus; &lt;", "&bogus; <"),
    ],
)  # fmt: skip
def test_a_headline_is_plain_text_with_entities_decoded_once(title: str, headline: str) -> None:
    assert one(item(f"<title>{title}</title><media:title>other</media:title>")).headline == headline


def test_an_item_without_a_headline_is_left_out() -> None:
    assert told(item("<title>\u200b</title><link>https://news.example/1</link>")) == []


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://news.example/a?b=1&amp;c=2#d", "https://news.example/a?b=1&c=2#d"), ("/a", "https://news.example/a"),
        ("<![CDATA[https://news.example/a?b=1&copy=2]]>", "https://news.example/a?b=1&copy=2"),
        ("https://NEWS.example:443/A", "https://news.example/A"), ("https://xn--bcher-kva.example/", None),
        ("https://b\u00fccher.example/\u00fc", "https://xn--bcher-kva.example/\u00fc"),
        ("http://news.example/a", None), ("javascript:alert(1)", None), ("java\nscript:alert(1)", None),
        ("data:text/html,x", None), ("//evil.example/x", "https://evil.example/x"),
        ("https://user@news.example/", None),
        ("https://news.example/a\u202eb", None), ("https://127.0.0.1/x", None), ("https://[::1]/", None),
        ("https://127.1/", None), ("https://0x7f.0.0.0x1/", None), ("https://router.local./", None),
        ("https://a.localhost/", None), ("#c", "https://news.example/rss#c"), (" ", None),
        ("https://router/", None), ("https://printer.local/", None), ("https://news.example/a b", None),
        ("https://good.example\\.evil.example/", None), ("https://news.example:99999/", None), ("https://[x/", None),
        ("https://news.example/" + "a" * 2000, None), ("ftp://news.example/", None), ("https:///x", None),
    ],
)  # fmt: skip
def test_a_link_is_https_and_public_and_all_of_it_can_be_seen(link: str, url: str | None) -> None:
    wanted = "https://xn--bcher-kva.example/" if "xn--" in link else url
    assert one(item(f"<title>Bitcoin</title><link>{link}</link>")).url == wanted


def test_an_item_is_known_by_its_guid_else_its_link_else_its_headline() -> None:
    link = "<link>https://news.example/1</link>"
    assert one(item(f"<title>B</title>{link}<guid>g 1</guid>")).guid == "g 1"
    assert one(item(f"<title>B</title>{link}<guid>\u200b\u202e</guid>")).guid == "https://news.example/1"
    assert one(item(f"<title>B</title>{link}")).guid == "https://news.example/1"
    unnamed = [one(item(f"<title>{title}</title>")).guid for title in ("B", "B", "C")]
    assert unnamed[0] == unnamed[1] != unnamed[2]
    long = [one(item(f"<title>B</title><guid>{'g' * 5000}{end}</guid>")).guid for end in "ab"]
    assert long[0] != long[1]
    assert all(len(guid) <= 80 for guid in (*unnamed, *long))


def test_a_guid_that_is_a_permalink_is_the_link_where_there_is_none() -> None:
    permalink = "https://news.example/1"
    assert one(item(f"<title>B</title><guid>{permalink}</guid>")).url == permalink
    assert one(item(f'<title>B</title><guid isPermaLink="false">{permalink}</guid>')).url is None


def test_atoms_other_links_are_not_the_items() -> None:
    links = '<link rel="self" href="https://a.example/"/><link rel="alternate" href="https://b.example/"/>'
    body = f'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>B</title>{links}</entry></feed>'
    assert one(body.encode()).url == "https://b.example/"


HEADLINE = "Caf\u00e9 \u20ac5 \u2013 \u201cBitcoin\u201d"


@pytest.mark.parametrize(
    ("headline", "encoding", "declared", "content_type"),
    [
        (HEADLINE, "utf-8", None, "application/xml"), (HEADLINE, "utf-8", "iso-8859-1", "application/xml"),
        (HEADLINE, "utf-8", "", "text/xml"), (HEADLINE, "utf-8", None, "text/xml; charset=iso-8859-1"),
        (HEADLINE, "utf-8-sig", "utf-8", ""), (HEADLINE, "utf-16", "utf-16", ""),
        (HEADLINE, "utf-16-le", "utf-16", ""), (HEADLINE, "utf-16-be", "utf-8", ""), (HEADLINE, "utf-32", "utf-32", ""),
        (HEADLINE, "cp1252", "windows-1252", ""), (HEADLINE, "cp1252", "utf-8", ""), (HEADLINE, "cp1252", "", ""),
        (HEADLINE, "cp1252", "iso-8859-1", ""), (HEADLINE, "cp1252", "punycode", ""), (HEADLINE, "cp1252", "zip", ""),
        ("\u0411\u0438\u0442\u043a\u043e\u0438\u043d", "cp1251", "windows-1251", ""),
        ("\u0411\u0438\u0442\u043a\u043e\u0438\u043d", "cp1251", "", "text/xml; charset=windows-1251"),
        ("\u6bd4\u7279\u5e01", "gb18030", "gb2312", ""),
    ],
)  # fmt: skip
def test_a_feed_is_read_in_the_encoding_that_it_has(
    headline: str, encoding: str, declared: str | None, content_type: str
) -> None:
    assert one(rss([Story(headline)], encoding=encoding, declared=declared), content_type).headline == headline


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii"])
def test_a_document_type_is_refused_in_every_encoding(encoding: str) -> None:
    for text in (BOMB.decode(), "\n<!-- <a> -->\n<!DOCTYPE rss>\n" + rss([Story("B")], declared="").decode()):
        with pytest.raises(NotRead) as refused:
            read_xml(text.encode(encoding), "")
        assert refused.value.status == "doctype"


def test_an_entity_bomb_is_refused_before_any_of_its_entities_is_read() -> None:
    big = b"<!DOCTYPE a [<!ENTITY a '" + b"x" * 1_000_000 + b"'>]><rss>" + b"&a;" * 100_000 + b"</rss>"
    for body in (BOMB, big):
        with pytest.raises(NotRead) as refused:
            read_xml(body, "")
        assert refused.value.status == "doctype"


def test_what_is_no_feed_is_malformed() -> None:
    for body in (b"", b"{}", b"<html><body>Just a moment...</body></html>", b"\x00\xff", b"<a/>", b"<rss", b"plain"):
        with pytest.raises(NotRead) as refused:
            read_xml(body, "text/html")
        assert refused.value.status == "malformed"


def test_of_a_feed_that_breaks_off_the_items_before_that_are_read() -> None:
    body = rss([Story("One"), Story("Two"), Story("Three")])
    items, whole = read_xml(body[: body.index(b"Three") + 2], "")
    assert [item.title for item in items] == ["One", "Two"]
    assert not whole


@pytest.mark.parametrize("number", sampled(range(len(TEXTS) + len(HALVES)), 3))
def test_nothing_that_hides_in_a_text_comes_out(number: int) -> None:
    text = [*TEXTS, *HALVES][number].encode("utf-8", "replace").decode()
    story = Story(text, f"https://news.example/{text}", text, text, text)
    for body in (
        rss([story]),
        atom([story]),
        item(f"<title><![CDATA[{text}]]></title>"),
        item(f"<title>{text}</title>"),
    ):
        try:
            items, _ = read_xml(body, "")
        except NotRead:
            continue
        for told in told_items(items, "https://news.example/rss"):
            assert not hidden(told.headline + told.guid + (told.url or ""))
            assert len(told.headline) <= MAX_HEADLINE
            assert len(told.guid) <= 200
            assert told.published_ms is None


LONGEST = {
    "a deep one": b"<rss>" + b"<a>" * 600_000,
    "many attributes": b"<rss " + b" ".join(b'a%d="x"' % n for n in range(150_000)) + b"/>",
    "one long author": b"<rss><channel><item><author>" + b"a" * 1_900_000 + b"</author><title>B</title></item>",
    "many items": b"<rss><channel>" + b"<item><title>B</title></item>" * 60_000,
    "a long title": b"<rss><channel><item><title>" + b"&lt;a " * 300_000 + b"</title></item></channel></rss>",
    "open tags in a title": b"<rss><channel><item><title><![CDATA[" + b"<!-- " * 380_000 + b"]]></title></item>",
    "comments without an end": b"<rss><channel>" + (b"<item><title>B" + b"&lt;!--" * 900 + b"</title></item>") * 300,
    "many ampersands": b"<rss><channel><item><title>" + b"&" * 1_900_000,
    "half an entity": b"<rss><channel><item><title>" + b"&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 48_000,
    "no end of a comment": b"<rss><channel><item><title>" + b"<!-- " * 380_000,
    "blanks": b" " * 1_900_000,
    "half a declaration": b"<?xml " + b"encoding='" * 190_000,
}


OFTEN = ("one long author", "open tags in a title")


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in LONGEST]
)
def test_the_worst_of_the_longest_feeds_comes_to_an_end(name: str) -> None:
    """A parser whose time grows with the square of a feed's length would take hours for these."""
    body = LONGEST[name]
    assert len(body) <= MOST_BYTES + 500_000
    with suppress(NotRead):
        assert len(told_items(read_xml(body, "")[0], "https://news.example/")) <= MOST_ITEMS


@pytest.mark.parametrize("link", ["#", "#c", "?", " ", "rss"])
def test_a_key_in_the_address_of_a_feed_gets_into_no_link(link: str) -> None:
    items, _ = read_xml(atom([Story("Bitcoin rises", url=link, guid=None)]), "")
    (item,) = told_items(items, "https://news.example/rss?key=SECRET#SECRET")
    assert "SECRET" not in f"{item.url} {item.guid}"


def test_of_a_feed_without_end_the_first_items_are_taken() -> None:
    assert len(told(rss([Story(f"Story {number}") for number in range(1_000)]))) == MOST_ITEMS


def test_escaping_is_undone_once_in_attributes_too() -> None:
    link = escape("https://news.example/?a=1&b=2", {'"': "&quot;"})
    body = f'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>B</title><link href="{link}"/></entry></feed>'
    assert one(body.encode()).url == "https://news.example/?a=1&b=2"
