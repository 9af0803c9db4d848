"""The list of mutants fits the reducer's text."""

import pytest
from export.mutants.catalogue import MUTANTS, Mutant, mutated, source_of


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_replaced_text_stands_exactly_once(mutant: Mutant):
    """A mutant whose text has moved would test nothing."""
    assert source_of(mutant).count(mutant.old) == 1
    assert mutant.old != mutant.new


def test_a_mutant_is_another_module(tmp_path):
    """The copy carries the change, and imports nothing of the original reducer."""
    with mutated(MUTANTS[0], tmp_path, "mutant_of_a_test") as rules:
        assert rules.__name__ == "mutant_of_a_test.admission"
        assert rules.step.__globals__["settle"].__module__ == "mutant_of_a_test.admission_rules"
