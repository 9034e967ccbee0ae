"""The judging of an answer: stubs, messages, hints, figures, and the recogniser."""

import pytest
import torch

from sam_edu.exercises import Exercise, WrongAnswer
from sam_edu.exercises.judging import check_all_values, check_tensor_shape, check_values, recogniser, result_of

TARGET = torch.arange(6.0).reshape(2, 3)


def judge(answer):
    result = result_of(answer, 1, hint="Look again.")
    check_tensor_shape("it", result, TARGET, "rows, columns", lambda yours: f"Found {yours.ndim} axes.")
    check_values("it", result, TARGET, lambda yours: "Twice." if torch.equal(yours, 2 * TARGET) else "Unknown.")


EXERCISE = Exercise("99.9 a test", judge, lambda x: TARGET)


def not_implemented(x):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [None, ..., lambda x: None, lambda x: ..., not_implemented])
def test_stub_is_not_attempted(stub, capsys):
    assert EXERCISE(stub) is None
    assert capsys.readouterr().out == "99.9 a test: not attempted\n"


def test_right_answer_passes(capsys):
    EXERCISE(EXERCISE.solution)
    assert capsys.readouterr().out == "99.9 a test: passed\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: 3.0, "99.9 a test: it: expected a tensor, got float"),
        (lambda x: TARGET[0], r"expected shape \(2, 3\), which is \(rows, columns\), got \(3,\). Found 1 axes."),
        (lambda x: 2 * TARGET, "the values differ by up to 5. Twice."),
        (lambda x: TARGET + 0.01, "the values differ by up to 0.01. Unknown."),
        (lambda x: TARGET / 0, "not finite"),
        (lambda x: 1 / 0, "it fails with ZeroDivisionError: division by zero. Look again."),
        (lambda: TARGET, "it fails with TypeError"),
        (3, "expected your function, not yet called, got int"),
    ],
)
def test_wrong_answer_raises_with_a_hint(answer, message):
    with pytest.raises(WrongAnswer, match=message):
        EXERCISE(answer)


def test_wrong_values_are_drawn():
    with pytest.raises(AssertionError) as caught:
        EXERCISE(lambda x: TARGET + 1)
    assert "target, yours, difference" in caught.value.figure.alt
    assert caught.value.figure.png


def test_wrong_shape_has_no_figure_and_an_error_keeps_its_cause():
    with pytest.raises(WrongAnswer) as caught:
        EXERCISE(lambda x: TARGET[0])
    assert caught.value.figure is None
    with pytest.raises(WrongAnswer) as caught:
        EXERCISE(lambda x: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_figure_is_shown_in_a_notebook(monkeypatch):
    import IPython
    import IPython.display

    displayed = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", displayed.append)
    with pytest.raises(WrongAnswer) as caught:
        EXERCISE(lambda x: TARGET + 1)
    assert displayed == [caught.value.figure]


def test_rounding_is_no_mistake(capsys):
    EXERCISE(lambda x: TARGET * (1 + 1e-6))
    assert "passed" in capsys.readouterr().out


def variant(mistake):
    if mistake == "unfit":
        raise RuntimeError("the mistake does not run on these shapes")
    return {"twice": 2 * TARGET, "other shape": TARGET[0], "also twice": 2 * TARGET}[mistake]


def test_mistake_is_recognised_by_its_result():
    names = ("unfit", "other shape", "twice", "also twice")
    hint = recogniser({name: f"This is {name}." for name in names}, variant, "Unknown.")
    assert hint(2 * TARGET) == "This is twice."
    assert hint(3 * TARGET) == "Unknown."


def test_mistake_is_recognised_by_two_results_together():
    pairs = {"first": (2 * TARGET, TARGET), "second": (TARGET, 2 * TARGET), "both": (2 * TARGET, 2 * TARGET)}
    hint = recogniser({name: f"This is {name}." for name in pairs}, pairs.__getitem__, "Unknown.")
    for name, pair in pairs.items():
        with pytest.raises(WrongAnswer, match=f"{'b' if name == 'second' else 'a'}: .* This is {name}.") as caught:
            check_all_values(("a", "b"), pair, (TARGET, TARGET), hint)
        assert caught.value.figure is not None
    check_all_values(("a", "b"), (TARGET, TARGET), (TARGET, TARGET), hint)
