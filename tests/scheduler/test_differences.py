"""What differs between runners of one journal, in sentences."""

from mcp_server.storage.journal.runner_note import RunnerNote
from runner.scheduler.differences import differences, sentences


def note(place: str, program: str = "1.0", **strategies: str) -> RunnerNote:
    """A runner whose strategies are told as `VERSION` where they are active, else as `VERSION paused`."""
    read = {name: (text.split()[0], [*text.split(), "active"][1]) for name, text in strategies.items()}
    return RunnerNote(place, place, program, read)


def told(*notes: RunnerNote) -> list[str]:
    return sentences(differences(notes))


def test_runners_that_have_the_same_differ_in_nothing() -> None:
    assert told(note("alpha", a="v1", b="v2 paused"), note("beta", a="v1", b="v2 paused")) == []
    assert told(note("alpha", a="v1")) == told() == []


def test_what_nobody_has_scheduled_may_differ() -> None:
    assert told(note("alpha", a="v1 paused"), note("beta", a="v2 stopped"), note("gamma")) == []


def test_it_is_told_which_strategy_which_versions_where_and_what_to_do() -> None:
    runners = note("alpha", a="v1", b="v"), note("beta", a="v2", b="v"), note("gamma", a="v1 paused", b="v"), note("d")
    assert told(*runners) == [
        "Runners of this journal do not have the same strategies. 'a': version v1 on alpha, version v2 on beta, "
        "paused on gamma, not there on d; 'b': version v on alpha and beta and gamma, not there on d. "
        "Give each home the same files, by git for example."
    ]


def test_other_versions_of_claude_trader_are_told_beside() -> None:
    assert told(note("alpha", "1.0"), note("beta", "1.1"), note("gamma", "1.1")) == [
        "Runners of this journal are not of one version of Claude Trader: 1.0 on alpha, 1.1 on beta and gamma. "
        "Update all machines."
    ]


def test_of_many_strategies_the_first_are_named_and_the_others_counted() -> None:
    (sentence,) = told(note("alpha", **{f"s{number}": "v1" for number in range(9)}), note("beta"))
    assert "'s2'" in sentence
    assert "'s3'" not in sentence
    assert "and 6 more strategies" in sentence
