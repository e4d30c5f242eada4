from pathlib import Path

import pytest

from bringup.substitutions import SubstitutionError, evaluate, split_command, substitute


def value_of(body):
    return evaluate(body, {"task": "two cubes", "n": "3"}, {"HOME": "/h"}, Path("/launch"))


def test_substitutes_variables_environment_and_folder():
    assert substitute("$(dirname)/$(var task)/$(env HOME)/$(env MISSING 7)", value_of) == "/launch/two cubes//h/7"
    assert substitute("no dollars: $5 (here)", value_of) == "no dollars: $5 (here)"


def test_environment_default_may_be_quoted_and_empty():
    assert substitute("x$(env MISSING '')y", value_of) == "xy"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("$(var nothing)", "no argument 'nothing'"),
        ("$(env MISSING)", "MISSING is not set"),
        ("$(find-pkg-share x)", "not supported here"),
        ("$(eval 1+1)", "not supported here"),
        ("$(dirname x)", "wrong number of words"),
        ("$(var x", "not closed"),
        ("$(var $(var n))", "not closed, or one"),
    ],
)
def test_refuses_what_it_cannot_do(text, complaint):
    with pytest.raises(SubstitutionError, match=complaint.replace("(", "\\(")):
        substitute(text, value_of)
    with pytest.raises(SubstitutionError):
        split_command(text, value_of)


def test_a_substitution_stays_one_word():
    words = split_command(
        """python3 -m lab --task $(var task) --path=$(env HOME)/x 'quoted words' -n$(var n)""", value_of
    )
    assert words == ["python3", "-m", "lab", "--task", "two cubes", "--path=/h/x", "quoted words", "-n3"]


def test_refuses_an_unclosed_quote():
    with pytest.raises(SubstitutionError, match="not a command line"):
        split_command("echo 'x", value_of)
