"""Robots that ask as fast as they are answered, and what they saw."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from policy_api.client import PolicyClient
from policy_api.errors import PolicyApiError, UnknownSession
from policy_api.schema import Timing

from policy_server.bench.observations import made_up

WARM_UP_ANSWERS = 5
"""Answers of each robot before any is counted: connections and caches settle."""

_PAUSE_S = 0.05  # after an error
_POLL_S = 0.02


@dataclass(frozen=True)
class Sample:
    """One answer: from sending the observation to having it (ns), and what the server says of it."""

    rtt_ns: int
    timing: Timing


@dataclass
class Load:
    """What all robots saw together in `seconds`; errors by class, and the text of the first one."""

    clients: int
    samples: list[Sample] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""
    seconds: float = 0.0


class Robot(threading.Thread):
    """One robot with a session of its own."""

    def __init__(self, client: PolicyClient, number: int, model: str, timeout_s: float) -> None:
        super().__init__(name=f"robot {number}", daemon=True)
        self.warm = threading.Event()
        self.counting = threading.Event()
        self.done = threading.Event()
        self.refused: PolicyApiError | None = None
        self.samples: list[Sample] = []
        self.errors: list[PolicyApiError] = []
        self._client, self._number, self._model, self._timeout_s = client, number, model, timeout_s

    def run(self) -> None:
        """Ask until `done`; what happens while `counting` is kept. `refused`: why no session could be opened."""
        with self._client as client:
            try:
                observations = made_up(client.open_session(model=self._model), seed=self._number)
            except PolicyApiError as error:
                self.refused = error
                return
            answers = 0
            while not self.done.is_set():
                observation, counted = next(observations), self.counting.is_set()
                start_ns = time.monotonic_ns()
                try:
                    if client.session is None:
                        client.open_session(model=self._model)
                    chunk = client.infer(observation, self._timeout_s)
                except PolicyApiError as error:
                    if counted or not isinstance(error, UnknownSession):
                        self.errors.append(error)
                    self.done.wait(_PAUSE_S)
                    continue
                if counted:
                    self.samples.append(Sample(time.monotonic_ns() - start_ns, chunk.timing))
                answers += 1
                if answers == WARM_UP_ANSWERS:
                    self.warm.set()


def run_load(
    connect: Callable[[int], PolicyClient], clients: int, seconds: float, model: str, timeout_s: float
) -> Load:
    """Let robots ask for `seconds`, counted from when all of them are warm; Ctrl-C ends it sooner.

    Raises the PolicyApiError of the first session that cannot be opened; OSError, ValueError of `connect`.
    """
    robots = [Robot(connect(i), i, model, timeout_s) for i in range(clients)]
    load = Load(clients)
    for robot in robots:
        robot.start()
    begin_ns = None
    try:
        give_up_ns = time.monotonic_ns() + round((seconds + WARM_UP_ANSWERS * timeout_s) * 1e9)
        while not all(robot.warm.is_set() for robot in robots) and time.monotonic_ns() < give_up_ns:
            for robot in robots:
                if robot.refused is not None:
                    raise robot.refused
            time.sleep(_POLL_S)
        begin_ns = time.monotonic_ns()
        for robot in robots:
            robot.counting.set()
        time.sleep(seconds)
    except KeyboardInterrupt:
        pass  # what there is so far is told
    finally:
        for robot in robots:
            robot.done.set()
    load.seconds = 0.0 if begin_ns is None else (time.monotonic_ns() - begin_ns) * 1e-9
    for robot in robots:
        robot.join(timeout_s + 1.0)
        load.samples += robot.samples
        load.errors.update(type(error).__name__ for error in robot.errors)
        load.first_error = load.first_error or next((str(error) for error in robot.errors), "")
    return load
