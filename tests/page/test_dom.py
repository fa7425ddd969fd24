"""How the page makes and keeps its elements: `dom.js` alone, in a browser."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mcp_server.storage.assets import asset
from tests.page.conftest import Site
from tests.rigs.browser import Browser

Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def run(site: Site, chromium: Browser) -> Iterator[Run]:
    """Run lines of a script that have what `dom.js` exports, and an empty `box` in the page."""
    with chromium.open(f"{site.url}#/nonsense", now=site.now) as opened:
        script = {"body": asset("page/dom.js"), "content_type": "text/javascript"}
        opened.page.route("**/dom.js", lambda route: route.fulfill(**script))

        def in_page(lines: str) -> Any:
            return opened.run(f"""async () => {{
                const {{ command, el, fill, notice, patch, svg }} = await import("/dom.js");
                const box = document.querySelector("main");
                box.replaceChildren();
                {lines}
            }}""")

        yield in_page
        assert opened.complaints == []


ROWS = """
    const row = (key, ...inner) => el("li", { "data-key": key }, inner);
    const texts = () => [...box.children].map((child) => child.textContent).join();
"""


def test_whatever_a_child_is_it_becomes_a_node_or_nothing(run: Run) -> None:
    assert run("return el('p', 'a', 1, null, [undefined, ['b', el('b', null, 'c')]], false, 0).outerHTML") == (
        "<p>a1b<b>c</b>0</p>"
    )


def test_attributes_are_set_left_out_or_listened_to(run: Run) -> None:
    told = run("""
        let clicks = 0;
        const onclick = () => clicks++;
        const button = el("button", { class: "a", disabled: false, hidden: null, "data-x": true, onclick }, "go");
        button.click();
        return [button.outerHTML, clicks];
    """)
    assert told == ['<button class="a" data-x="">go</button>', 1]


def test_markup_of_a_stranger_stays_text(run: Run) -> None:
    told = run("""
        const hostile = "<img src=x onerror='window.ran = 1'>";
        fill(box, el("p", { title: hostile }, hostile), notice({ problem: "<b>x", remedy: "<i>" }));
        return [box.querySelectorAll("img, b, i").length, box.textContent, window.ran ?? null];
    """)
    assert told == [0, "<img src=x onerror='window.ran = 1'><b>x <i>", None]


def test_a_row_that_is_new_moves_no_other(run: Run) -> None:
    told = run(
        ROWS
        + """
        patch(box, row("a", "a"), row("b", "b"));
        const [a, b] = box.children;
        patch(box, row("new", "new"), row("a", "a2"), row("b", "b"), "text");
        return [texts(), box.textContent, a === box.children[1], b === box.children[2]];
    """
    )
    assert told == ["new,a2,b", "newa2btext", True, True]


def test_rows_that_go_or_change_places_are_told_apart_by_their_keys(run: Run) -> None:
    told = run(
        ROWS
        + """
        patch(box, ["a", "b", "c", "d"].map((key) => row(key, key)));
        const b = box.children[1];
        patch(box, ["d", "b"].map((key) => row(key, key + 2)));
        const after = texts();
        patch(box);
        return [after, b.textContent, box.childNodes.length];
    """
    )
    assert told == ["d2,b2", "b2", 0]


def test_the_focus_stays_in_a_row_when_one_above_it_goes(run: Run) -> None:
    told = run(
        ROWS
        + """
        patch(box, ["a", "b", "c"].map((key) => row(key, el("button", null, key))));
        const button = box.children[1].firstChild;
        button.focus();
        patch(box, ["b", "c"].map((key) => row(key, el("button", null, key))));
        return [texts(), document.activeElement === button];
    """
    )
    assert told == ["b,c", True]


def test_focus_typed_text_open_details_and_scroll_outlive_an_update(run: Run) -> None:
    told = run("""
        const tall = (height, ...inner) => {
            const node = el("div", { "data-key": `tall ${height}` }, inner);
            Object.assign(node.style, { height: `${height}px`, overflow: "auto" });
            return node;
        };
        const drawing = (n) => [
            el("h2", null, `Drawn ${n} times`), n > 1 && el("p", null, "new"),
            el("label", { "data-key": "typed" }, "Name", el("input", { value: n })),
            el("details", { "data-key": "more" }, el("summary", null, "More"), `${n}`),
            tall(50, tall(500, "x".repeat(n))),
        ];
        patch(box, drawing(1));
        const [input, details, scrolled] = ["input", "details", "div"].map((selector) => box.querySelector(selector));
        input.focus();
        document.execCommand("insertText", false, "half");
        details.open = true;
        scrolled.scrollTop = 100;
        patch(box, drawing(2));
        const texts = [box.querySelector("h2"), details].map((node) => node.textContent);
        return [document.activeElement === input, input.value, details.open, scrolled.scrollTop, ...texts];
    """)
    assert told == [True, "half1", True, 100, "Drawn 2 times", "More2"]


def test_what_is_listened_to_is_the_latest(run: Run) -> None:
    told = run("""
        const heard = [];
        for (const n of [1, 2]) patch(box, el("button", { onclick: () => heard.push(n) }, "go"));
        box.firstChild.click();
        patch(box, el("button", null, "go"));
        box.firstChild.click();
        return heard;
    """)
    assert told == [2]


def test_attributes_follow_but_what_a_view_fills_itself_is_left_to_it(run: Run) -> None:
    told = run("""
        patch(box, el("div", { "data-own": true, class: "a", title: "t" }));
        box.firstChild.append("mine");
        patch(box, el("div", { "data-own": true, class: "b" }));
        return box.innerHTML;
    """)
    assert told == '<div data-own="" class="b">mine</div>'


def test_another_element_in_the_same_place_replaces_it(run: Run) -> None:
    told = run("""
        patch(box, el("p", null, "a"), "b");
        patch(box, el("div", null, "c"), el("p", null, "d"));
        return box.innerHTML;
    """)
    assert told == "<div>c</div><p>d</p>"


def test_an_element_that_is_kept_by_the_view_stays_the_same(run: Run) -> None:
    told = run("""
        const own = el("canvas");
        patch(box, el("p", null, "a"), own);
        patch(box, el("p", null, "b"), own, "c");
        return [box.childNodes.length, box.childNodes[1] === own, box.textContent];
    """)
    assert told == [3, True, "bc"]


def test_a_command_is_copied_or_at_least_selected(run: Run) -> None:
    told = run("""
        fill(box, command("claude-trader up"));
        box.querySelector("button").click();
        return [box.querySelector("code").textContent, String(getSelection())];
    """)
    assert told == ["claude-trader up", "claude-trader up"]
