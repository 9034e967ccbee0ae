"""What all exercises share: stubs, hints, pictures."""

import pytest
import torch

from sam_edu.exercises import Exercise, WrongAnswer
from sam_edu.exercises.exercise import check_all_values, check_tensor_shape, check_values, recogniser, result_of

TARGET = torch.arange(6.0).reshape(2, 3)


def judge(answer):
    came = result_of(answer, 1, hint="Look again.")
    check_tensor_shape("it", came, TARGET, "rows, columns", lambda yours: f"Found {yours.ndim} axes.")
    check_values("it", came, TARGET, lambda yours: "Twice." if torch.equal(yours, 2 * TARGET) else "Unknown.")


double = Exercise("99.9 a test", judge, lambda x: TARGET)


def not_implemented(x):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [None, ..., lambda x: None, lambda x: ..., not_implemented])
def test_stub_is_not_attempted(stub, capsys):
    assert double(stub) is None
    assert capsys.readouterr().out == "99.9 a test: not attempted\n"


def test_right_answer_passes(capsys):
    double(double.solution)
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
        double(answer)


def test_wrong_values_are_drawn():
    with pytest.raises(AssertionError) as caught:
        double(lambda x: TARGET + 1)
    assert "target, yours, difference" in caught.value.picture.alt
    assert caught.value.picture.png


def test_wrong_shape_has_no_picture_and_an_error_keeps_its_cause():
    with pytest.raises(WrongAnswer) as caught:
        double(lambda x: TARGET[0])
    assert caught.value.picture is None
    with pytest.raises(WrongAnswer) as caught:
        double(lambda x: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_picture_is_shown_in_a_notebook(monkeypatch):
    import IPython
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", shown.append)
    with pytest.raises(WrongAnswer) as caught:
        double(lambda x: TARGET + 1)
    assert shown == [caught.value.picture]


def test_rounding_is_no_mistake(capsys):
    double(lambda x: TARGET * (1 + 1e-6))
    assert "passed" in capsys.readouterr().out


def mistaken(mistake):
    if mistake == "unfit":
        raise RuntimeError("the mistake does not run on these shapes")
    return {"twice": 2 * TARGET, "other shape": TARGET[0], "also twice": 2 * TARGET}[mistake]


def test_mistake_is_recognised_by_what_comes_out():
    names = ("unfit", "other shape", "twice", "also twice")
    looks = recogniser({name: f"This is {name}." for name in names}, mistaken, "Unknown.")
    assert looks(2 * TARGET) == "This is twice."
    assert looks(3 * TARGET) == "Unknown."


def test_mistake_with_two_outputs_has_both_of_them():
    pairs = {"first": (2 * TARGET, TARGET), "second": (TARGET, 2 * TARGET), "both": (2 * TARGET, 2 * TARGET)}
    looks = recogniser({name: f"This is {name}." for name in pairs}, pairs.__getitem__, "Unknown.")
    for name, pair in pairs.items():
        with pytest.raises(WrongAnswer, match=f"{'b' if name == 'second' else 'a'}: .* This is {name}.") as caught:
            check_all_values(("a", "b"), pair, (TARGET, TARGET), looks)
        assert caught.value.picture is not None
    check_all_values(("a", "b"), (TARGET, TARGET), (TARGET, TARGET), looks)
