"""The stand-in for feeds sends what a test sets, and is conditional as a real feed is."""

import json

from tests.rigs.loopback import plain_client
from tests.rigs.news_feeds import TEN, Story, news_feeds


def test_each_of_the_ten_feeds_is_served_at_the_path_of_its_address() -> None:
    with news_feeds() as rig, plain_client(5) as client:
        assert len(rig.feeds) == len(TEN) == 10
        for source, stand_in in rig.feeds.items():
            stand_in.stories = [Story("Bitcoin & rest", guid="1", published="1790000000000")]
            answer = client.get(stand_in.feed.url.replace(f"https://{source}.example", rig.url))
            assert answer.status_code == 200
            assert "Bitcoin &" in (answer.text if stand_in.form in ("rss", "atom") else str(json.loads(answer.text)))
        assert client.get(f"{rig.url}/robots.txt").status_code == 404


def test_a_feed_that_has_not_changed_answers_304_to_who_knows_it() -> None:
    with news_feeds() as rig, plain_client(5) as client:
        feed, where = rig["coindesk"], f"{rig.url}/coindesk"
        feed.etag, feed.last_modified = '"1"', "Mon, 02 Mar 2026 10:00:00 GMT"
        assert client.get(where, headers={"if-none-match": '"1"'}).status_code == 304
        assert client.get(where, headers={"if-modified-since": feed.last_modified}).status_code == 304
        feed.etag = '"2"'
        assert client.get(where, headers={"if-none-match": '"1"'}).status_code == 200
        assert len(feed.requests) == 3
