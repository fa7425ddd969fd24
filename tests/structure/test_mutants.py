"""The list of mutants keeps up with the code: `make mutants` applies it, which takes too long to be done here."""

import pytest

from tests.mutants.run import mutants


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.long)], ids=["found", "compiled"])
def test_every_mutant_can_still_be_applied_and_names_tests_that_exist(compiled: bool) -> None:
    problems = [f"{mutant.name}: {problem}" for mutant in mutants() if (problem := mutant.problem(compiled=compiled))]

    assert not problems, "\n".join(problems)
