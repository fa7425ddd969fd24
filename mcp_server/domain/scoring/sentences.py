"""The sentences of a score. The first one says whether there is evidence of skill yet."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mcp_server.domain.scoring.keys import FEW, PROOF
from mcp_server.domain.text import change, counted, dollars, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_server.domain.scoring.keys import Bounds, CalibrationScore, Score, StopState, TwinScore


def sentence(score: Score) -> str:
    """Return a record in a few words, for a notice: `12 judged: too few to say`."""
    if score["evidence"] == "contaminated":
        return "nothing counts, as the model may know what came next"
    if not score["judged"]:
        return "none judged yet"
    judged = f"{score['judged']:,} judged"
    if score["evidence"] == "too_few":
        return f"{judged}: too few to say"
    verdict = {
        "skill": "evidence of skill" if _gains(score) else "evidence of skill, not of a gain",
        "no_skill": "its `stop` has ruled out its edge",
        "none_yet": "no evidence of skill yet",
        "unknown": "evidence unknown, as candles are missing",
    }[score["evidence"]]
    return f"{judged}{_right(score)}: {verdict}"


def _right(score: Score) -> str:
    """Return the share right beside its control; nothing where the control is not known."""
    rate, base = score["hit_rate"], score["base_rate"]
    return "" if rate is None or base is None else f", {share(rate)} right (base rate {share(base)})"


def summary(score: Score) -> list[str]:
    """Return the sentences, whether there is evidence first."""
    figures = (_hits(score), _net(score), _twin(score), _beside(score), _confidence(score), _cost(score))
    parts = [_evidence(score), _left_out(score), *figures, _gaps(score)]
    return [part for part in parts if part]


def _evidence(score: Score) -> str:
    if not score["judged"]:
        return _nothing_judged(score)
    judged = f"{score['judged']:,} judged signal{'' if score['judged'] == 1 else 's'}"
    e_value = score["e_value"]
    match score["evidence"]:
        case "skill":
            return (
                f"There is evidence of skill in {judged}: the e-value has reached {PROOF}, which it does for at most "
                f"one in 20 strategies without skill, however often you look.{_not_gain(score)}{_chosen(score)}"
            )
        case "no_skill":
            return _stopped(score["stop"])
        case "unknown":
            return f"Whether {judged} show skill is not known, because candles of this market are missing."
        case "too_few":
            return f"{_begin(judged)} {'is' if score['judged'] == 1 else 'are'} too few to say.{_pace(score)}"
    value = "" if e_value is None else f" (its e-value is {e_value:.2g}; {PROOF} would be proof)"
    return f"There is no evidence of skill yet in {judged}{value}.{_pace(score)}"


def _not_gain(score: Score) -> str:
    """Warn of signals that are right more often, and not shown to gain: they may only choose when prices move a lot."""
    if _gains(score):
        return ""
    return (
        " It is evidence of being right more often than this market makes it easy to be, not of a gain: signals that "
        "are only given while prices move a lot are right more often too."
    )


def _gains(score: Score) -> bool:
    """Return whether the mean net return is above 0 beyond chance."""
    interval = score["mean_net_ci95"]
    return interval is not None and interval[0] > 0


def _stopped(stop: StopState | None) -> str:
    """Say what a strategy's own stop has ruled out, and by which signals."""
    edge, count, mean = (stop["minimum_edge_pct"], stop["judged"], stop["mean_net_pct"]) if stop else (0, 0, None)
    brought = "" if mean is None else f": {counted(count, 'signal')} that do not overlap brought {change(mean)} each"
    return f"The strategy's own `stop` rules out a mean net return of {edge:g} % or more{brought}."


def _chosen(score: Score) -> str:
    """Warn of evidence from runs whose moments somebody chose: it may be hindsight."""
    if score["kind"] == "live":
        return ""
    return " But these runs are not on schedule, and whoever chose their moments could choose what came of them."


def _begin(text: str) -> str:
    return f"Only {text}"


def _nothing_judged(score: Score) -> str:
    if score["evidence"] == "contaminated" and (left_out := score["left_out"]) is not None:
        runs = "its only run is" if left_out["runs"] == 1 else f"all of its {left_out['runs']:,} runs are"
        return f"This shows no skill, whatever came of it: {runs} left out, as {left_out['why']}."
    horizon = _exactly(score["horizon_s"])
    if score["pending"]:
        pending = counted(score["pending"], "signal")
        return f"Nothing is judged yet: {pending} pending; each is judged ten minutes after its horizon of {horizon}."
    if score["void"]:
        return f"Nothing is judged: the candles or fundings of {counted(score['void'], 'signal')} are missing."
    return "There is no BUY or SELL signal to judge yet."


def _pace(score: Score) -> str:
    needed, days = score["signals_needed"], score["days_needed"]
    if (window := score["window_shows"]) is not None:
        return f" {window}"
    if not needed:
        return ""
    edge = "an edge of five points above the base rate would show"
    if days is not None:
        return f" At this pace, {edge} in about {length_of_time(days)}."
    return f" After about {needed:,} more signals whose horizons do not overlap, {edge}."


def _left_out(score: Score) -> str:
    left_out = score["left_out"]
    if left_out is None or score["evidence"] == "contaminated":
        return ""
    are = f"{counted(left_out['runs'], 'run')} {'is' if left_out['runs'] == 1 else 'are'}"
    return f"{are} left out: {left_out['why']}."


def _hits(score: Score) -> str:
    rate, base = score["hit_rate"], score["base_rate"]
    if rate is None or score["judged"] < FEW:
        return ""
    control = "the base rate is not known"
    if base is not None:
        control = f"of all moments of this market, {share(base)} would have been right"
    within = _between(score["hit_rate_ci95"], _whole) or ", too short a record for an interval"
    return f"{score['right']:,} of {score['judged']:,} were right ({share(rate)}{within}); {control}."


def _net(score: Score) -> str:
    mean, held = score["mean_net_pct"], score["hold_pct"]
    if mean is None or held is None or score["judged"] < FEW:
        return ""
    text = f"A signal brought {change(mean)} on average after costs{_between(score['mean_net_ci95'], change)}"
    apart = score["hold_difference_ci95"]
    return f"{text}; holding at the same moments brought {change(held)}{_verdict(apart)}."


def _twin(score: Score) -> str:
    twin = score["twin"]
    if twin is None or twin["moments"] < FEW:
        return ""
    return _paired(twin, "the model", "the strategy's rules")


def _beside(score: Score) -> str:
    other = score["beside"]
    if other is None or other["difference_pct"] is None:
        return "" if other is None else "At no moment did this replay or the other one say BUY or SELL."
    if other["moments"] < FEW:
        at = f"{counted(other['moments'], 'moment')} at which either replay said BUY or SELL"
        return f"Only {at} {'is' if other['moments'] == 1 else 'are'} judged: too few to compare them."
    return _paired(other, "this replay", "the other one")


def _paired(other: TwinScore, this: str, than: str) -> str:
    """Say what a record brought more than something else at the same moments, and whether that may be chance."""
    difference = other["difference_pct"] or 0.0
    brought = (
        f"{this} brought {abs(difference):.2f} points {'more' if difference >= 0 else 'less'} on average than {than}"
    )
    return f"Over {other['moments']:,} moments {brought}{_verdict(other['difference_ci95'])}."


def _verdict(difference: Bounds | None) -> str:
    """Say in a clause whether a paired difference can be told from zero."""
    if difference is None:
        return ", which is too short a record to compare"
    if difference[0] > 0:
        return ", a difference that is more than chance"
    if difference[1] < 0:
        return ", and falling behind that much is more than chance"
    return ", a difference that may be chance"


def _confidence(score: Score) -> str:
    table = score["calibration"]
    if table is None:
        return ""
    if table["error"] > table["error_by_chance"]:
        off = f"Its confidences are off by {100 * table['error']:.0f} points on average"
        return f"{off}, more than chance explains ({100 * table['error_by_chance']:.0f}){_worth(table)}."
    return f"Its confidences are no further off than chance explains{_worth(table)}."


def _worth(table: CalibrationScore) -> str:
    """Say what the latest confidence is probably worth, and that this is an estimate."""
    stated, calibrated = table["confidence"], table["calibrated"]
    if stated is None or calibrated is None:
        return ""
    return f"; its latest, {share(stated)}, is worth {share(calibrated)} by estimate"


def _cost(score: Score) -> str:
    spent, unknown = score["cost_usd"], score["cost_unknown"]
    if spent is None:
        return "What it cost is not known." if unknown else ""
    if not spent and not unknown:
        return ""
    text = f"It cost ${dollars(spent)}"
    if unknown:
        text += f" without {counted(unknown, 'run')} of unknown cost"
    per_right = score["usd_per_right_signal"]
    return f"{text}; ${dollars(per_right)} for each right signal." if per_right is not None else f"{text}."


def _gaps(score: Score) -> str:
    parts, signals = [], score["signals"]
    if score["coverage_pct"] is not None and score["coverage_pct"] < 100:
        without = score["runs"] - sum((signals["buy"], signals["sell"], signals["hold"]))
        parts.append(f"{without:,} of {counted(score['runs'], 'run')} ended without a signal")
    if score["missed"]:
        parts.append(f"{counted(score['missed'], 'slot')} did not run")
    if score["void"]:
        parts.append(f"{counted(score['void'], 'signal')} cannot be judged, as candles or fundings are missing")
    if score["earlier"]:
        parts.append("signals from before its last change are not counted")
    return f"Keep in mind: {'; '.join(parts)}." if parts else ""


def _between(bounds: Bounds | None, write: Callable[[float], str]) -> str:
    return "" if bounds is None else f", 95 % interval {write(bounds[0]).removesuffix(' %')} to {write(bounds[1])}"


def _whole(rate: float) -> str:
    """Write a bound of an interval."""
    return f"{100 * rate:.0f} %"


def _exactly(seconds: int) -> str:
    """Write a length of time that somebody has set, rounding nothing: `1 day`, `36 hours`, `90 minutes`."""
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if seconds % size == 0)
    return counted(seconds // size, unit)


def length_of_time(days: float) -> str:
    """Write an estimated length of time as people do: `5 hours`, `12 days`, `7 months`, `3 years`."""
    for size, unit, least in ((365.25, "year", 2), (30.44, "month", 2), (1, "day", 1)):
        if days >= least * size:
            return counted(round(days / size), unit)
    hours = timedelta(days=days) / timedelta(hours=1)
    return counted(round(hours), "hour") if hours >= 1 else counted(max(round(60 * hours), 1), "minute")
