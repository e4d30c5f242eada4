"""Who prepares an episode and says whether it succeeded: the virtual lab, or a person."""

from collections.abc import Callable
from typing import Protocol

REFEREES = ("lab", "operator")
LAB_READY_S = 10.0


class RefereeError(RuntimeError):
    """The episode can't be prepared or judged; the text says what to do."""


class Referee(Protocol):
    """Prepares and judges episodes. Every method may block; RefereeError ends the evaluation."""

    def setup(self, seed: int) -> str:
        """Put everything in its place for this seed (the arm is at home); returns the instruction."""
        ...

    def succeeded(self) -> bool:
        """Whether success has been seen already, asked while the policy runs."""
        ...

    def verdict(self) -> bool:
        """Whether the episode succeeded, asked when the arm has been stopped."""
        ...


class LabReferee:
    """The virtual lab at `address` (host:port) knows what is true."""

    def __init__(self, address: str) -> None:
        from virtual_lab.client import LabClient, LabError  # only a robot in a lab needs a lab

        self._lab_error = LabError
        self._client = LabClient(address)
        try:
            self._client.wait_ready(LAB_READY_S)
        except LabError as error:
            raise RefereeError(str(error)) from error

    def setup(self, seed: int) -> str:
        """Reset the lab to the seed's layout."""
        try:
            return self._client.reset(seed)
        except self._lab_error as error:
            raise RefereeError(str(error)) from error

    def succeeded(self) -> bool:
        """Whether the task succeeded at any time since the reset."""
        try:
            return self._client.truth().success
        except self._lab_error as error:
            raise RefereeError(str(error)) from error

    def verdict(self) -> bool:
        """Same as `succeeded`: the lab remembers success."""
        return self.succeeded()


class OperatorReferee:
    """A person at the terminal. `ask` shows a question and returns the line typed."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask_line = ask
        self._instruction = ""

    def setup(self, seed: int) -> str:
        """Have the objects placed; the person types the instruction, or Enter for the last one."""
        default = f" [{self._instruction}]" if self._instruction else ""
        while True:
            typed = self._ask(f"Episode of seed {seed}: place the objects, then type the instruction{default}: ")
            self._instruction = typed or self._instruction
            if self._instruction:
                return self._instruction

    def succeeded(self) -> bool:
        """Never while the arm moves: the person is asked afterwards."""
        return False

    def verdict(self) -> bool:
        """Ask until the answer is y or n."""
        while True:
            answer = self._ask("Did it succeed? [y/n] ").lower()
            if answer in ("y", "yes"):
                return True
            if answer in ("n", "no"):
                return False

    def _ask(self, question: str) -> str:
        try:
            return self._ask_line(question).strip()
        except EOFError as error:
            raise RefereeError(
                "referee:=operator needs a terminal, and standard input is closed; "
                "start episode_runner_node in a terminal of its own"
            ) from error
