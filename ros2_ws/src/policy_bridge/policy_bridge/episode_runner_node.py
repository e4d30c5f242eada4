"""Evaluate the policy: N recorded episodes, one after the other, and their summary.

Parameters: `episodes`, `first_seed`, `output_dir` (required; gets summary.json), `referee` (lab or operator),
`lab_address` (host:port, for the lab), `episode_timeout_s`. Episodes that are in summary.json are not run again.
Exit code 0 when all are done (or on SIGINT and SIGTERM), 1 when the evaluation can't go on, with the reason.
"""

import sys
import threading
from pathlib import Path

from node_runtime.main import ManagedNode, SetupError, end_process, run_node

from policy_bridge.episode_protocol import SetupFailedError, StoppedError, run_episode
from policy_bridge.referee import REFEREES, LabReferee, OperatorReferee, Referee, RefereeError
from policy_bridge.ros_deck import RosDeck
from policy_bridge.summary import EvaluationConfig, Summary
from policy_bridge.terminal import Terminal

EXIT_FAILED = 1


class EpisodeRunnerNode(ManagedNode):
    """The protocol runs in a thread; the executor serves its topics and services."""

    def __init__(self) -> None:
        super().__init__("episode_runner")
        self._episodes = int(self.declare_parameter("episodes", 10).value)
        self._first_seed = int(self.declare_parameter("first_seed", 2_000_000).value)
        output_dir = str(self.declare_parameter("output_dir", "").value)
        self._referee_name = str(self.declare_parameter("referee", "lab").value)
        self._lab_address = str(self.declare_parameter("lab_address", "127.0.0.1:50061").value)
        self._timeout_s = float(self.declare_parameter("episode_timeout_s", 60.0).value)
        if not output_dir:
            raise SetupError("parameter output_dir is empty; name the folder that takes summary.json")
        if self._referee_name not in REFEREES:
            raise SetupError(f"parameter referee is {self._referee_name!r}; known are {', '.join(REFEREES)}")
        if self._episodes <= 0 or self._timeout_s <= 0:
            raise SetupError(
                f"episodes is {self._episodes} and episode_timeout_s {self._timeout_s}; both must be positive"
            )
        config = EvaluationConfig(self._first_seed, self._referee_name, self._timeout_s)
        try:
            self._summary = Summary(Path(output_dir) / "summary.json", config)
        except ValueError as error:
            raise SetupError(str(error)) from error
        self._stop = threading.Event()
        self._deck = RosDeck(self, self._stop)
        self._thread = threading.Thread(target=self._run, name="protocol", daemon=True)
        self._thread.start()

    def begin_stop(self) -> None:
        """Let the protocol take the policy off and close its episode."""
        self._stop.set()

    def close(self) -> None:
        """Wait for the protocol."""
        self._stop.set()
        self._thread.join(0.2)

    def _run(self) -> None:
        try:
            self._evaluate()
            self.exit_code = 0
        except StoppedError:
            self.exit_code = 0
        except (SetupFailedError, RefereeError, OSError) as error:
            print(f"evaluation failed: {error}", file=sys.stderr, flush=True)
            self.exit_code = EXIT_FAILED
        except BaseException:  # a fault in the protocol must end the process; it is raised again
            self.exit_code = EXIT_FAILED
            raise

    def _referee(self) -> Referee:
        if self._referee_name == "lab":
            return LabReferee(self._lab_address)
        return OperatorReferee(Terminal(self._stop).ask)

    def _evaluate(self) -> None:
        names = [(f"ep{k:04d}", self._first_seed + k) for k in range(self._episodes)]
        todo = [(name, seed) for name, seed in names if not self._summary.has(name)]
        if not todo:
            print(f"all {self._episodes} episodes are in the summary already", flush=True)
            return
        referee = self._referee()
        self._deck.connect()
        for name, seed in todo:
            result = run_episode(name, seed, self._timeout_s, self._deck, referee)
            self._summary.add(result)
            outcome = "success" if result.success else "failure"
            print(f"{name} seed {seed}: {outcome} in {result.duration_s:.1f} s, {result.reason}", flush=True)
            if result.recording_error:
                print(f"{name}: recording: {result.recording_error}", flush=True)
        content = self._summary.content()
        low, high = content["success_ci95"]
        print(
            f"{content['successes']} of {content['episodes']} succeeded (95 % interval {low:.0%} to {high:.0%})",
            flush=True,
        )


def main() -> None:
    """Entry point of `episode_runner_node`."""
    end_process(run_node(EpisodeRunnerNode))
