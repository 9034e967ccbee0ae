"""Formulas have a form that needs no network and no scripts, or are reported."""

import pytest
from bs4 import BeautifulSoup

from tools.formulas import FormulaError, formula_problems, formulas, to_mathml


@pytest.mark.parametrize(
    "formula",
    [
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\begin{equation} a = b \end{equation}",
        r"\operatorname{GELU}(x) \in \mathbb{R}^{N \times C}",
        r"\begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}",
        r"\left\lVert a - b \right\rVert_2 \le 2 \cdot 10^{-6}, \quad \hat{y} = \sum_{i=1}^{n} w_i v_i",
    ],
)
def test_formulas_that_can_be_converted(formula):
    mathml = to_mathml(formula, display=True)
    assert "\\" not in mathml
    assert BeautifulSoup(mathml, "html.parser").math["display"] == "block"


@pytest.mark.parametrize("formula", [r"\foo{x}", "a & b", r"\left( x", "x_a_b"])
def test_formula_that_cannot_be_converted_is_reported(formula, make_notebook):
    found = formula_problems(make_notebook(("markdown", f"Here: ${formula}$")))
    assert len(found) == 1
    assert formula in found[0]
    with pytest.raises(FormulaError):
        to_mathml(formula, display=False)


def test_formulas_of_a_text_are_found_and_other_dollars_are_none():
    text = "Inline $x < \\frac{1}{\\sqrt{d}}$.\n\n$$\\mathrm{softmax}(QK^\\top)$$\n\n\\$5, `$HOME` and $5 or $6"
    assert formulas(text) == [("x < \\frac{1}{\\sqrt{d}}", False), ("\\mathrm{softmax}(QK^\\top)", True)]
    assert formulas("\\begin{align} a &= b \\end{align}\n") == [("\\begin{align} a &= b \\end{align}", True)]


def test_dollars_in_code_are_no_formulas(make_notebook):
    assert formula_problems(make_notebook("print('$\\foo{x}$')")) == []
