import pytest
from policy_bridge.referee import OperatorReferee, RefereeError


class Terminal:
    def __init__(self, *lines):
        self.lines = list(lines)
        self.questions = []

    def __call__(self, question):
        self.questions.append(question)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)


def test_operator_types_the_instruction_once():
    terminal = Terminal("", " push the red cube ", "", "push the blue cube")
    referee = OperatorReferee(terminal)
    assert referee.setup(2_000_000) == "push the red cube"
    assert referee.setup(2_000_001) == "push the red cube"
    assert referee.setup(2_000_002) == "push the blue cube"
    assert "seed 2000000" in terminal.questions[0]
    assert "[push the red cube]" in terminal.questions[2]


@pytest.mark.parametrize(("lines", "verdict"), [(["maybe", "Y"], True), (["", "no"], False)])
def test_operator_is_asked_until_the_answer_is_clear(lines, verdict):
    terminal = Terminal(*lines)
    assert OperatorReferee(terminal).verdict() is verdict
    assert len(terminal.questions) == 2


def test_operator_does_not_end_an_episode():
    assert OperatorReferee(Terminal()).succeeded() is False


def test_closed_terminal_is_explained():
    with pytest.raises(RefereeError, match="needs a terminal"):
        OperatorReferee(Terminal()).setup(2_000_000)
