"""What a score says in words: first of all whether there is evidence yet; nothing without its control."""

import re

import pytest

from mcp_server.domain.scoring.sentences import sentence, summary
from tests.scoring.made import score_with

FEW = {"judged": 12, "right": 9, "hit_rate": 0.75, "evidence": "too_few"}


def test_the_first_sentence_says_that_there_is_no_evidence_yet_and_how_long_it_would_take() -> None:
    first = summary(score_with())[0]
    assert first.startswith("There is no evidence of skill yet in 100 judged signals (its e-value is 0.8; 20 would be")
    assert "an edge of five points above the base rate would show in about 16 months." in first


def test_the_first_sentence_says_that_there_is_evidence() -> None:
    first = summary(score_with(evidence="skill", e_value=31.0))[0]
    assert first.startswith("There is evidence of skill in 100 judged signals")
    assert "one in 20 strategies without skill" in first


@pytest.mark.parametrize(("interval", "gains"), [((0.01, 0.4), True), ((-0.01, 0.4), False), (None, False)])
def test_being_right_more_often_is_not_called_a_gain(interval: tuple[float, float] | None, gains: bool) -> None:
    score = score_with(evidence="skill", mean_net_ci95=interval)
    assert ("right more often than this market makes it easy to be, not of a gain" in summary(score)[0]) is not gains
    assert sentence(score).endswith("evidence of skill" if gains else "evidence of skill, not of a gain")


@pytest.mark.parametrize(("kind", "warned"), [("live", False), ("manual", True), ("host", True), ("replay", True)])
def test_evidence_from_moments_that_somebody_chose_is_not_told_without_a_warning(kind: str, warned: bool) -> None:
    assert ("not on schedule" in summary(score_with(evidence="skill", kind=kind))[0]) is warned


def test_few_signals_are_called_too_few_and_no_rate_of_them_is_praised() -> None:
    score = score_with(**FEW)
    sentences = summary(score)
    assert sentences[0].startswith("Only 12 judged signals are too few to say.")
    assert "75 %" not in " ".join(sentences)
    assert sentence(score) == "12 judged: too few to say"


def test_a_single_judged_signal_is_too_few() -> None:
    assert summary(score_with(judged=1, right=1, evidence="too_few"))[0].startswith("Only 1 judged signal is too few")


def test_a_record_without_signals_or_with_open_ones_says_so() -> None:
    nothing = {"judged": 0, "right": 0, "hit_rate": None, "evidence": "too_few"}
    assert summary(score_with(**nothing))[0] == "There is no BUY or SELL signal to judge yet."
    assert summary(score_with(**nothing, pending=3))[0] == (
        "Nothing is judged yet: 3 signals pending; each is judged ten minutes after its horizon of 1 day."
    )
    assert summary(score_with(**nothing, void=2))[0] == (
        "Nothing is judged: the candles or fundings of 2 signals are missing."
    )
    assert sentence(score_with(**nothing, pending=3)) == "none judged yet"


def test_what_the_strategys_own_stop_has_ruled_out_comes_first() -> None:
    stop = {"e_value": 21, "highest": 21, "judged": 90, "mean_net_pct": -0.4, "limit": 20, "minimum_edge_pct": 0.1}
    score = score_with(evidence="no_skill", stop={**stop, "reached": True})
    assert summary(score)[0] == (
        "The strategy's own `stop` rules out a mean net return of 0.1 % or more: 90 signals that do not overlap "
        "brought -0.40 % each."
    )
    assert sentence(score).endswith("its `stop` has ruled out its edge")


def test_evidence_that_cannot_be_computed_is_not_called_missing_skill() -> None:
    score = score_with(evidence="unknown", base_rate=None, e_value=None, signals_needed=None, days_needed=None)
    assert "not known, because candles of this market are missing" in summary(score)[0]
    assert sentence(score) == "100 judged: evidence unknown, as candles are missing"


def test_a_hit_rate_stands_beside_its_base_rate_and_a_return_beside_holding() -> None:
    sentences = summary(score_with())
    (hits,) = (text for text in sentences if "were right" in text)
    assert "47 of 100 were right (47 %, 95 % interval 35 to 59 %)" in hits
    _, _, net, *_ = summary(score_with(mean_net_pct=-0.1671, mean_net_ci95=(-0.4167, 0.08344)))
    assert "A signal brought -0.17 % on average after costs, 95 % interval -0.42 to +0.08 %;" in net
    assert "of all moments of this market, 45 % would have been right" in hits
    (net,) = (text for text in sentences if "on average after costs" in text)
    assert "-0.05 % on average after costs, 95 % interval -0.40 to +0.30 %;" in net
    assert "holding at the same moments brought +0.10 %, a difference that may be chance." in net
    assert sentence(score_with()) == "100 judged, 47 % right (base rate 45 %): no evidence of skill yet"


@pytest.mark.parametrize(("right", "words"), [(299, "over 99 %"), (1, "under 1 %"), (300, "100 %"), (150, "50 %")])
def test_a_share_of_nearly_all_is_not_all(right: int, words: str) -> None:
    score = score_with(judged=300, right=right, hit_rate=right / 300, hit_rate_ci95=None, evidence="none_yet")
    assert f"{right} of 300 were right ({words}, too short" in " ".join(summary(score))
    assert f", {words} right (base rate " in sentence(score)


def test_a_hit_rate_without_an_interval_says_that_its_record_is_too_short() -> None:
    _, hits, *_ = summary(score_with(hit_rate_ci95=None))
    assert "(47 %, too short a record for an interval)" in hits


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.1, 0.5), "more than chance"),
        ((-0.5, -0.1), "falling behind that much is more than chance"),
        ((-0.5, 0.5), "may be chance"),
        (None, "too short a record to compare"),
    ],
)
def test_a_difference_is_weighed_by_its_interval(interval: tuple[float, float] | None, verdict: str) -> None:
    twin = {"judged": 80, "hit_rate": 0.5, "moments": 93, "difference_pct": 0.3, "difference_ci95": interval}
    (text,) = (text for text in summary(score_with(twin=twin)) if "the strategy's rules" in text)
    assert text.startswith("Over 93 moments the model brought 0.30 points more on average")
    assert verdict in text


@pytest.mark.parametrize(("moments", "sentences"), [(29, 0), (30, 1)])
def test_a_twin_that_mostly_holds_is_compared_over_the_moments_of_the_model(moments: int, sentences: int) -> None:
    twin = {"judged": 3, "hit_rate": 1.0, "moments": moments, "difference_pct": -0.3, "difference_ci95": None}
    assert len([text for text in summary(score_with(twin=twin)) if "the strategy's rules" in text]) == sentences


def test_confidences_are_called_off_only_beyond_what_chance_explains() -> None:
    table = {"bins": [], "error_by_chance": 0.13, "confidence": 0.7, "calibrated": 0.5}
    (fine,) = (text for text in summary(score_with(calibration={**table, "error": 0.12})) if "confidences" in text)
    assert fine.startswith("Its confidences are no further off than chance explains")
    assert fine.endswith("; its latest, 70 %, is worth 50 % by estimate.")
    off = summary(score_with(calibration={**table, "error": 0.21, "calibrated": None}))
    assert "Its confidences are off by 21 points on average, more than chance explains (13)." in off


def test_an_unknown_cost_is_told_and_never_called_free() -> None:
    assert "What it cost is not known." in summary(score_with(cost_usd=None, cost_unknown=7))
    some = summary(score_with(cost_usd=1.5, cost_unknown=2, usd_per_right_signal=None))
    assert "It cost $1.50 without 2 runs of unknown cost." in some
    assert "It cost $9.40; $0.20 for each right signal." in summary(score_with(cost_usd=9.4, usd_per_right_signal=0.2))
    assert "It cost $0.32; $0.0041 for each right signal." in summary(
        score_with(cost_usd=0.32, usd_per_right_signal=0.0041)
    )
    assert not [text for text in summary(score_with()) if "cost $" in text]


def test_what_is_missing_is_told_last() -> None:
    gaps = score_with(
        coverage_pct=99.9,
        runs=1_000,
        signals={"buy": 500, "sell": 400, "hold": 99},
        missed=4,
        void=1,
        earlier=[{"decision_version": "f" * 12, "runs": 9, "judged": 5}],
    )
    assert summary(gaps)[-1] == (
        "Keep in mind: 1 of 1,000 runs ended without a signal; 4 slots did not run; 1 signal cannot be judged, as "
        "candles or fundings are missing; signals from before its last change are not counted."
    )


@pytest.mark.parametrize(
    ("days", "words"),
    [(0.02, "29 minutes"), (0.25, "6 hours"), (12.4, "12 days"), (75, "2 months"), (1100, "3 years")],
)
def test_a_length_of_time_is_written_as_people_do(days: float, words: str) -> None:
    assert f"in about {words}." in summary(score_with(days_needed=days))[0]


@pytest.mark.parametrize(
    ("horizon_s", "words"), [(129_600, "36 hours"), (5_400, "90 minutes"), (6_048_000, "70 days"), (3_600, "1 hour")]
)
def test_a_horizon_is_told_as_it_was_set(horizon_s: int, words: str) -> None:
    pending = score_with(judged=0, right=0, hit_rate=None, evidence="too_few", pending=1, horizon_s=horizon_s)
    assert summary(pending)[0].endswith(f"ten minutes after its horizon of {words}.")


def test_without_a_pace_the_signals_are_counted_and_with_nothing_needed_nothing_is_promised() -> None:
    assert "After about 400 more signals whose horizons do not overlap" in summary(score_with(days_needed=None))[0]
    assert "would show" not in summary(score_with(signals_needed=0))[0]
    assert "would show" not in summary(score_with(signals_needed=None))[0]


@pytest.mark.parametrize("evidence", ["too_few", "none_yet", "skill", "no_skill", "unknown"])
def test_no_sentence_calls_anything_significant(evidence: str) -> None:
    score = score_with(evidence=evidence)
    assert not re.search("signific", " ".join([*summary(score), sentence(score)]), re.IGNORECASE)
    assert len(sentence(score)) < 90
