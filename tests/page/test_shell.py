"""The frame of the page: its views and addresses, the keyboard, and a server that has been upgraded."""

import json
from typing import Any

from tests.page.conftest import Site
from tests.page.opening import FOCUSED, SIZES, goes, heading, opened_at
from tests.rigs.browser import Browser, OpenPage
from tests.rigs.sample_strategies import TREND

PAST = "2026-05-18T09:30:00Z"


@SIZES
def test_each_view_is_a_link_away_and_the_back_button_returns(
    site: Site, chromium: Browser, size: tuple[int, int]
) -> None:
    with opened_at(site, chromium, size=size) as opened:
        heading(opened, "Strategies")
        for name in ("Market", "Costs"):
            goes(opened, name)
            assert heading(opened, name).evaluate(FOCUSED)
            assert opened.page.title() == f"{name} · Claude Trader"
            assert opened.page.locator("nav [aria-current=page]").all_inner_texts() == [name]
        opened.page.go_back()
        heading(opened, "Market")
        opened.page.go_back()
        heading(opened, "Strategies")
        opened.page.go_forward()
        heading(opened, "Market")


def test_an_address_of_nothing_leads_somewhere_and_the_brand_home(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, "%E0%A4%A") as opened:
        the_first_key_offers_to_skip_to_the_content(opened)
        for place in ("nonsense", "__proto__", "constructor", "strategies/<b>", "nonsense?as_of=%"):
            heading(opened, "There is no such page")
            opened.run(f"location.hash = '#/{place}'")
        opened.run("location.hash = '#/nonsense'")
        opened.page.get_by_role("link", name="See all strategies").click()
        heading(opened, "Strategies")
        opened.run("location.hash = '?as_of='")
        heading(opened, "Strategies")
        opened.run(f"location.hash = '#/nonsense?as_of={PAST}'")
        heading(opened, "There is no such page")
        opened.page.get_by_role("link", name="Claude Trader").click()
        heading(opened, "Strategies")
        assert opened.run("location.hash") == "#/?as_of=2026-05-18T09%3A30%3A00Z"


def the_first_key_offers_to_skip_to_the_content(opened: OpenPage) -> None:
    """Assert that of an address of nothing."""
    heading(opened, "There is no such page")
    opened.page.keyboard.press("Tab")
    assert opened.page.get_by_role("link", name="Skip to the content").evaluate(FOCUSED)
    assert opened.run("document.activeElement.getBoundingClientRect().left >= 0")
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Tab")
    assert opened.page.get_by_role("link", name="See all strategies").evaluate(FOCUSED)


def test_a_page_of_an_older_version_loads_itself_anew_and_only_once(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, "costs") as opened:
        heading(opened, "Costs")
        own = opened.page.locator("meta[name=version]").get_attribute("content")
        versions: list[str] = []

        def of_the_next_version(route: object) -> None:
            answer = route.fetch()  # type: ignore[attr-defined]
            versions.append(answer.headers["x-trader-page"])
            route.fulfill(response=answer, headers=answer.headers | {"x-trader-page": "next"})  # type: ignore[attr-defined]

        opened.page.route("**/mcp", of_the_next_version)
        with opened.page.expect_event("load"):
            opened.page.get_by_role("button", name="Live").click()
        heading(opened, "Costs")
        with opened.page.expect_response("**/mcp"):
            opened.page.get_by_role("button", name="Live").click()
        opened.page.get_by_role("slider").wait_for()
        assert set(versions) == {own}
        assert opened.requests.count(site.url) == 2
        opened.page.unroute_all(behavior="ignoreErrors")  # questions of the page may be under way


def test_a_page_whose_script_is_gone_says_so_and_loads_again(site: Site, chromium: Browser) -> None:
    """The page came from a server of one version, and its script is asked of another."""
    with chromium.open(f"{site.url}#/nonsense", now=site.now) as opened:
        heading(opened, "There is no such page")
        opened.page.route("**/page-*.js", lambda route: route.continue_(url=f"{site.url}page-0123456789abcdef.js"))
        with opened.page.expect_response(lambda response: ".js" in response.url) as script:
            opened.page.goto(f"{site.url}?anew#/costs")
        assert script.value.status == 404
        opened.page.get_by_text("The page did not load.").wait_for()
        opened.page.unroute_all()
        opened.page.get_by_role("link", name="Load it again").click()
        heading(opened, "Strategies")


def test_an_answer_of_an_unknown_form_is_told_on_top_and_shows_nothing_undefined(site: Site, chromium: Browser) -> None:
    odd = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": {"rows": [["x"]], "problems": 7}}})
    with opened_at(site, chromium, "nonsense") as opened:
        opened.page.route("**/mcp", lambda route: route.fulfill(body=odd, content_type="application/json"))
        goes(opened, "Strategies")
        told = opened.page.get_by_role("alert").filter(has_text="Something on this page went wrong. Reload it.")
        told.wait_for()
        assert "undefined" not in opened.page.locator("main").inner_text()


def test_where_the_first_answer_is_an_error_nothing_looks_as_if_it_were_loading(site: Site, chromium: Browser) -> None:
    parts = {"claude-trader/problem": "The disk is away.", "claude-trader/remedy": "Bring it back."}
    result = {"content": [{"type": "text", "text": "no"}], "isError": True, "_meta": parts}
    error = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})
    with opened_at(site, chromium, "nonsense") as opened:
        opened.page.route("**/mcp", lambda route: route.fulfill(body=error, content_type="application/json"))
        for view in ("Strategies", "Costs"):
            goes(opened, view)
            heading(opened, view)
            opened.page.get_by_role("alert").filter(has_text="The disk is away.").wait_for()
            assert not opened.page.get_by_text("Loading").is_visible()
            assert not opened.page.locator("main .skeleton").first.is_visible()
        opened.page.unroute("**/mcp")
        opened.page.locator("main").get_by_text("Spent today").first.wait_for()
        assert opened.page.locator("#problems").inner_text() == ""


def test_while_one_part_cannot_be_loaded_the_others_still_look_as_if_they_were_loading(
    site: Site, chromium: Browser
) -> None:
    odd = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": {"rows": 7}}})

    def answer(route: Any) -> None:
        tool = route.request.post_data_json["params"]["name"]
        if tool == "list_strategies":
            route.fulfill(body=odd, content_type="application/json")
        elif tool == "read_strategy":
            route.continue_()  # and nothing else is answered

    with opened_at(site, chromium, "nonsense") as opened:
        opened.page.route("**/mcp", answer)
        opened.run(f"location.hash = '#/strategy/{TREND}'")
        heading(opened, TREND)
        opened.page.get_by_role("alert").filter(has_text="Something on this page went wrong.").wait_for()
        placeholders = opened.page.locator("main .skeleton")
        shown = [placeholder.is_visible() for placeholder in placeholders.all()]
        assert (shown[0], {*shown[1:]}) == (False, {True}), (
            "the head failed; the chart and the runs have not answered yet"
        )
        opened.page.unroute_all(behavior="ignoreErrors")
