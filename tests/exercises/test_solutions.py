"""Every exercise has a solution that passes, and every notebook three exercises."""

import pkgutil
import re
from collections import Counter

import pytest
import torch
from exercise_cases import EXERCISES, TOPICS

import sam_edu.exercises


def test_no_exercise_is_forgotten():
    modules = {module.name for module in pkgutil.iter_modules(sam_edu.exercises.__path__)}
    assert modules == {*TOPICS, "judging", "judging_modules", "judging_tables", "inputs", "solutions"}
    numbers = [exercise.name.split()[0] for exercise in EXERCISES]
    assert all(re.fullmatch(r"\d\d\.\d", number) for number in numbers)
    assert Counter(number for number in numbers if number[-1] != "0") == {
        f"{notebook}.{i}": 1 for notebook in {number[:2] for number in numbers} for i in (1, 2, 3)
    }
    assert len({number[:2] for number in numbers}) == len(TOPICS)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_solution_passes_and_the_random_state_is_unchanged(exercise, capsys):
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    exercise(exercise.solution)
    assert torch.equal(torch.randn(3), expected)
    assert capsys.readouterr().out == f"{exercise.name}: passed\n"
