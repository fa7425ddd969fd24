"""Candles come page by page, over gaps and after a sleep, without a chart and a server: Node runs the module."""

import json

from tests.page.node import PAGE, Node
from tests.page.test_chart import HOUR, MONDAY

ASKS = """
const { candlePages } = await import("%s/candle_pages.js");
const { times, turns } = %s, iso = (ms) => new Date(ms).toISOString(), step = 3_600_000, seen = [];
let there = times[0];
const call = async (tool, { limit, as_of, detail }) => {
  const moment = as_of ? Date.parse(as_of) : there.at(-1) + step;
  const found = there.filter((open) => open + step <= moment && open >= moment - limit * step);
  if (!detail) return { rows: found.map((open) => [iso(open), 1, 1, 1, 1, 1]), as_of: iso(moment) };
  return found.length ? { summary: {}, as_of: iso(moment), age_s: (moment - found.at(-1) - step) / 1000 } : {};
};
const pages = candlePages({ call, market: {}, indicators: [] });
for (const turn of turns) {
  if (turn === "sleep") there = times[1];
  else seen.push([await pages[turn](), pages.rows.length, ...[0, -1].map((at) => Date.parse(pages.rows.at(at)[0]))]);
}
console.log(JSON.stringify(seen));
"""
"""Lets an exchange that has candles at some times answer, and tells what each turn of the pages came to."""


def test_history_goes_over_a_gap_to_the_first_candle_and_a_page_that_slept_begins_anew(node: Node) -> None:
    opens = [MONDAY + at * HOUR for at in range(1_300) if not 200 <= at < 780]  # longer than one answer
    later = [MONDAY + at * HOUR for at in range(1_300 + 720)]
    turns = ["later", "earlier", "earlier", "earlier", "sleep", "later"]
    seen = node(ASKS % (PAGE, json.dumps({"times": [opens, later], "turns": turns})))
    whole = [MONDAY, opens[-1]]
    assert seen == [
        [True, 500, opens[-500], opens[-1]],
        [True, 520, opens[200], opens[-1]],
        [True, 720, *whole],
        [False, 720, *whole],
        [True, 500, later[-500], later[-1]],
    ]
