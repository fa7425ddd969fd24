"""What `score NAME` shows in a terminal: first the sentences, then every figure beside what it is measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from mcp_server.domain.scoring.reliability import FEWEST
from mcp_server.domain.scoring.sentences import length_of_time
from mcp_server.domain.text import change, cleaned, counted, dollars, exact_duration, significant
from runner.cli.show import plain

LABEL, VALUE = 21, 17
UNDEFINED = "-"
KINDS = {
    "live": "runs on schedule",
    "manual": "runs by hand",
    "host": "runs by hand, decided by the model in a chat",
    "replay": "replayed runs",
}
STYLES = {"skill": "bold green", "no_skill": "bold red"}
"""Of what a record shows; most records show nothing."""

SHORT, UNKNOWN = "the record is too short for it", "candles are missing"

Answer = Mapping[str, Any]


class Figure(NamedTuple):
    """One line: its name for people, the figure as text, and a few words on what it means."""

    label: str
    value: str
    meaning: str = ""


def score(console: Console, answer: Answer) -> None:
    """Show the answer about one record."""
    console.print(_head(answer))
    console.print()
    evidence, *others = answer["summary"]
    console.print(plain(evidence, STYLES.get(answer["evidence"], "bold")))
    for sentence in others:
        console.print(plain(sentence))
    if note := answer.get("note"):
        console.print(plain(note, "dim"))
    for title, figures in _groups(answer):
        console.print(Text(f"\n{title}", "bold"))
        for figure in figures:
            line = f"  {figure.label:<{LABEL}}{figure.value:>{VALUE}}"
            console.print(plain(line) + plain(f"  {figure.meaning}".rstrip(), "dim"))
    if answer["calibration"]:
        _reliability(console, answer["calibration"])


def _head(answer: Answer) -> Text:
    """Return whose record it is, on what, and by which terms it is judged."""
    where = f"  {answer['symbol']}  {answer['timeframe']} candles of {answer['exchange']}"
    where += "; the market is invented" if answer.get("simulated") else ""
    horizon = exact_duration(answer["horizon_s"])
    runs = f"replay {answer['replay']}{_replay(answer)}" if "replay" in answer else KINDS[answer["kind"]]
    terms = f"\n{runs}, judged after {horizon}; a round trip costs {answer['cost_bps'] / 100:g} %"
    return plain(answer["strategy_name"], "bold") + plain(where) + plain(terms, "dim")


def _replay(answer: Answer) -> str:
    """Return what defines a replay beside its strategy."""
    every = f", every {answer['every']}" if answer["every"] else ""
    without = f", without {cleaned(', '.join(answer['without']), 60)}" if answer["without"] else ""
    rerun = ", a rerun" if answer["rerun"] else ""
    return f" of {answer['since'][:10]} to {answer['until'][:10]}{every}{without}{rerun}"


def _groups(answer: Answer) -> Iterator[tuple[str, Sequence[Figure]]]:
    if answer["runs"]:
        yield "Signals", _signals(answer)
    if answer["judged"]:
        yield "Were they right?", _right(answer)
        yield "Were they worth it?", _net(answer)
    if answer["twin"]:
        yield "Beside its own rules, at the same moments", _paired(answer["twin"], "the rules", "the model")
    if answer["beside"]:
        yield "Beside the other replay, at the same moments", _paired(answer["beside"], "the other", "this one")
    if answer["agents"]:
        yield "Did its sub-agents lean the right way?", _agents(answer["agents"], answer.get("agents_left_out", 0))
    if answer["runs"]:
        yield "What it cost", _cost(answer)
    if answer["stop"]:
        yield "When it pauses by itself", [_stop(answer["stop"])]
    if answer["judged"]:
        yield "How good are its confidences?", _confidence(answer)


def _signals(answer: Answer) -> list[Figure]:
    counts, holds = answer["signals"], answer["holds"]
    figures = [
        Figure("runs", f"{answer['runs']:,}"),
        _figure("coverage", answer["coverage_pct"], _part, "of the runs ended with a signal", "none has ended"),
        Figure("BUY and SELL", f"{counts['buy']:,} and {counts['sell']:,}"),
        Figure("judged", f"{answer['judged']:,}", "of these: what came of them is known"),
        Figure("pending", f"{answer['pending']:,}", "not known yet"),
        Figure("void", f"{answer['void']:,}", "never to be known: prices are missing"),
        Figure("HOLD", f"{counts['hold']:,}", "never right or wrong"),
    ]
    if holds["judged"]:
        figures.append(Figure("  quiet", f"{holds['quiet']:,}", f"of {holds['judged']:,}: it moved less than costs"))
    if answer["missed"]:
        figures.insert(2, Figure("missed slots", f"{answer['missed']:,}"))
    if left_out := answer["left_out"]:
        figures.insert(1, Figure("left out", f"{left_out['runs']:,}", "the model may know what came next"))
    for earlier in answer["earlier"]:
        about = f"judged of {counted(earlier['runs'], 'run')}; not added"
        figures.append(Figure("an earlier version", f"{earlier['judged']:,}", about))
    return figures


def _right(answer: Answer) -> list[Figure]:
    rates = answer["base_rates"]
    directions = None if None in rates.values() else [rates["buy"], rates["sell"]]
    figures = [
        Figure("right", f"{answer['right']:,}", f"of {answer['judged']:,}: they gained after costs"),
        _figure("hit rate", answer["hit_rate"], _share, "how often it was right"),
        _figure("  95 % sure", answer["hit_rate_ci95"], _shares, "the true one lies in here", SHORT),
        _figure("base rate", answer["base_rate"], _share, "how often without any skill", UNKNOWN),
        _figure("  a BUY, a SELL", directions, _two_shares, "at any moment of this market", UNKNOWN),
        _figure("e-value", answer["e_value"], _short, "proof of skill from 20 on", UNKNOWN),
    ]
    if answer["signals_needed"] is not None:
        pace = "" if answer["days_needed"] is None else f" in {length_of_time(answer['days_needed'])}"
        figures.append(Figure("until 5 points show", f"{answer['signals_needed']:,}", f"separate signals{pace}"))
    return figures


def _net(answer: Answer) -> list[Figure]:
    return [
        _figure("mean net return", answer["mean_net_pct"], change, "of a signal, after costs"),
        _figure("  95 % sure", answer["mean_net_ci95"], _pcts, "the true one lies in here", SHORT),
        _figure("holding", answer["hold_pct"], change, "buying at the same moments instead"),
        _figure("  the difference", answer["hold_difference_pct"], change, "above 0: better than holding"),
        _figure("  95 % sure", answer["hold_difference_ci95"], _pcts, "", SHORT),
    ]


def _paired(twin: Answer, other: str, this: str) -> list[Figure]:
    return [
        Figure("moments", f"{twin['moments']:,}", "where either said BUY or SELL"),
        _figure("hit rate", twin["hit_rate"], _share, f"of {other}'s {twin['judged']:,}", f"{other} gave no signal"),
        _figure("  the difference", twin["difference_pct"], change, f"above 0: {this} brought more", SHORT),
        _figure("  95 % sure", twin["difference_ci95"], _pcts, "", SHORT),
    ]


def _agents(agents: Mapping[str, Answer], left_out: int) -> list[Figure]:
    figures = []
    for name, agent in agents.items():
        about = f"of {agent['judged']:,}; correlation {_short(agent['correlation'])}"
        label = cleaned(name, LABEL - 1)
        figures.append(_figure(label, agent["agrees"], _share, about, f"of {agent['judged']:,}: too few to say"))
    return [*figures, Figure("others", f"{left_out:,}", "with fewer judged")] if left_out else figures


def _cost(answer: Answer) -> list[Figure]:
    spent, unknown = answer["cost_usd"], answer["cost_unknown"]
    about = "no model was paid" if spent == 0 else ""
    if unknown:
        about = f"and {counted(unknown, 'run')} of unknown cost"
    total = _figure("all runs", spent, usd, about, "it is not known")
    if not spent:
        return [total]
    right, gained = answer["usd_per_right_signal"], answer["usd_per_net_pct"]
    partly = f"not known, nor what {counted(unknown, 'run')} cost" if unknown else ""
    return [
        total,
        _figure("each right signal", right, usd, "", partly or "none was right yet"),
        _figure("each net per cent", gained, usd, "of what all signals gained", partly or "they have not gained"),
    ]


def _stop(stop: Answer) -> Figure:
    limit = f"{'reached' if stop['reached'] else 'pauses at'} {stop['limit']:,.10g}"
    return _figure("highest e-value", stop["highest"], _short, f"for less than {stop['minimum_edge_pct']:g} %; {limit}")


def _confidence(answer: Answer) -> list[Figure]:
    if answer["brier"] is None:
        return [Figure("Brier score", UNDEFINED, "no judged signal stated a confidence")]
    no_skill = UNKNOWN if answer["base_rate"] is None else "the base rate makes no error"
    figures = [
        Figure("Brier score", _short(answer["brier"]), "0 is perfect, 0.25 a coin"),
        _figure("  its skill", answer["brier_skill"], _short, "above 0: better than the base rate", no_skill),
    ]
    if table := answer["calibration"]:
        by_chance = f"chance alone: up to {100 * table['error_by_chance']:.0f} points"
        figures.append(Figure("off by", f"{100 * table['error']:.0f} points", by_chance))
        if table["calibrated"] is not None:
            worth = f"what a confidence of {_share(table['confidence'])} is worth"
            figures.append(Figure("calibrated estimate", _share(table["calibrated"]), worth))
    else:
        figures.append(Figure("reliability table", UNDEFINED, f"needs {FEWEST} signals that state one"))
    return figures


def _reliability(console: Console, table: Answer) -> None:
    """Show how many of the signals were right that stated about the same confidence."""
    console.print(Text(f"\n  {'confidence':>10}{'signals':>9}{'right':>8}   by chance", "bold"))
    for confidence, signals, right, low, high in table["bins"]:
        odd = "" if low <= right <= high else "  further off than chance"
        row = f"  {_share(confidence):>10}{signals:>9,.0f}{_share(right):>8}   {_shares((low, high))}"
        console.print(plain(row) + plain(odd, "yellow"))
    console.print(plain("  by chance: between these shares a true confidence is right, 95 times in 100.", "dim"))


def _figure(
    label: str, value: Any, write: Callable[[Any], str], meaning: str, undefined: str = "nothing is judged yet"
) -> Figure:
    """Return a line; an undefined figure is a dash with the reason."""
    return Figure(label, UNDEFINED, undefined) if value is None else Figure(label, write(value), meaning)


def _share(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _part(pct: float) -> str:
    return f"{pct:.1f} %"


def _two_shares(rates: Sequence[float]) -> str:
    return ", ".join(map(_share, rates))


def _shares(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def _pcts(bounds: Sequence[float]) -> str:
    return f"{change(bounds[0]).removesuffix(' %')} to {change(bounds[1])}"


def _short(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:,.3g}" if abs(value) < 1_000 else f"{significant(value, 3):,.10g}"


def usd(value: float) -> str:
    """Write dollars with their sign."""
    return f"${dollars(value)}"
