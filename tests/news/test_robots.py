"""A robots.txt is kept as RFC 9309 says: our own group, or everybody's, and of its rules the longest that fits."""

import pytest

from mcp_server.adapters.news.robots import robots_of


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/rss", True), ("User-agent: *\nDisallow:", "/rss", True), ("User-agent: *\nDisallow: /", "/rss", False),
        ("User-agent: *\nDisallow: /\nAllow: /rss", "/rss?a=1", True),
        ("User-agent: *\nAllow: /\nDisallow: /rss", "/rss", False),
        ("User-agent: *\nDisallow: /rss\nAllow: /rss", "/rss", True),
        ("USER-AGENT: other\nDisallow: /", "/rss", True),
        ("User-agent: other\nUser-agent: Claude-Trader # us\nDisallow: /rss\n\nUser-agent: *\nAllow: /", "/rss", False),
        ("User-agent: claude-trader\nDisallow: /a\nUser-agent: x\nDisallow: /\n", "/rss", True),
        ("User-agent: claude-trader\nDisallow: /a\nUser-agent: x\nAllow: /\nUser-agent: claude-trader\nDisallow: /r",
         "/rss", False),
        ("User-agent: *\nDisallow: /*.xml", "/feed/news.xml", False), ("User-agent: *\nDisallow: /*.xml", "/xml", True),
        ("User-agent: *\nDisallow: /*.xml$", "/news.xml?page=1", True),
        ("User-agent: *\nDisallow: /*.xml$", "/a.xml/b.xml", False), ("User-agent: *\nDisallow: /rss$", "/rss", False),
        ("User-agent: *\nDisallow: /rss$", "/rss/", True), ("User-agent: *\nDisallow: *?", "/rss?a", False),
        ("Disallow: /", "/rss", True), ("no robots here", "/rss", True), ("<html>404</html>", "/rss", True),
    ],
)  # fmt: skip
def test_a_path_is_allowed_or_not(text: str, path: str, allowed: bool) -> None:
    assert robots_of(text).allows(path) is allowed


def test_many_rules_with_many_stars_come_to_an_end() -> None:
    rule = f"Disallow: /{'*a' * 900}b"
    assert robots_of("User-agent: *\n" + f"{rule}\n" * 5_000).allows("/" + "a" * 1_000)


def test_any_number_of_names_that_are_not_ours_comes_to_an_end() -> None:
    others = "".join(f"User-agent: robot-{number}\n" for number in range(60_000))
    robots = robots_of(f"User-agent: *\n{others}" + "Disallow: /a\n" * 60_000)
    assert (robots.allows("/a"), robots.allows("/b")) == (False, True)
