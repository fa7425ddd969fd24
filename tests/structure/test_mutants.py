"""The list of mutants keeps up with the code: `make mutants` applies it, which takes too long to be done here."""

from tests.mutants.run import mutants


def test_every_mutant_can_still_be_applied_and_names_tests_that_exist() -> None:
    problems = [f"{mutant.name}: {problem}" for mutant in mutants() if (problem := mutant.problem())]

    assert not problems, "\n".join(problems)
