"""The same batched worlds as ours in worker processes, as a vectorised environment of stable-baselines3."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from benchmarks.rl.sb3_worker import serve
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.pool import worker_context

Array = NDArray[Any]
Encode = Callable[[Sequence[str]], Array]
"""Instructions -> (n, T) token ids."""
_LONGEST_S = 300.0


class Worlds(VecEnv):
    """Worlds in worker processes; an action is a whole chunk, every number in -1..1 of its range.

    The reward is 1 at success, 0 otherwise; an episode ends with success or after the task's last chunk, which counts
    as a failure, as for our own learner. Only a simulator fault, which is nobody's failure, is reported as truncated.

    Args:
        make_environment: importable function: number of worlds -> environment.
        encode: turns instructions into token ids.
        workers: processes.
        envs_per_worker: worlds in each.
        first_seed: training seeds are taken from here on, each once.
    """

    def __init__(
        self,
        make_environment: MakeEnvironment,
        encode: Encode,
        workers: int,
        envs_per_worker: int,
        first_seed: int,
    ) -> None:
        context = worker_context()
        self._encode = encode
        self._each = envs_per_worker
        self._connections: list[Connection] = []
        self._processes = []
        for worker in range(workers):
            ours, theirs = context.Pipe()
            seeds = (first_seed + worker, workers)
            process = context.Process(
                target=serve, args=(theirs, make_environment, envs_per_worker, seeds), daemon=True
            )
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        described = [self._hear(connection) for connection in self._connections]
        self._spec, self.max_chunks = described[0]
        self.faults = 0
        self._low = np.array([f.lower for f in self._spec.action], np.float32)
        self._high = np.array([f.upper for f in self._spec.action], np.float32)
        text = encode(["?"]).shape[1]
        seen: dict[str, spaces.Space[Any]] = {
            "state": spaces.Box(-np.inf, np.inf, (len(self._spec.state),)),
            "text": spaces.Box(0, np.iinfo(np.int32).max, (text,), np.int32),
        }
        for camera in self._spec.cameras:  # channels first: otherwise stable-baselines3 turns them around itself
            shape = (3, camera.input_size, camera.input_size)
            seen[f"image_{camera.name}"] = spaces.Box(0, 255, shape, np.uint8)
        size = self._spec.horizon * len(self._spec.action)
        super().__init__(workers * envs_per_worker, spaces.Dict(seen), spaces.Box(-1.0, 1.0, (size,)))

    def reset(self) -> VecEnvObs:
        """Start a training episode in every world."""
        for connection in self._connections:
            connection.send(("reset", None))
        return self._observations([self._hear(connection) for connection in self._connections])

    def begin(self, seeds: Sequence[int]) -> VecEnvObs:
        """Start the episodes of `seeds`, one a world; worlds that stay without one repeat the last."""
        if not 1 <= len(seeds) <= self.num_envs:
            raise ValueError(f"between 1 and {self.num_envs} seeds can begin at once; got {len(seeds)}")
        every = [*seeds, *itertools.repeat(seeds[-1], self.num_envs - len(seeds))]
        for worker, connection in enumerate(self._connections):
            connection.send(("reset", every[worker * self._each : (worker + 1) * self._each]))
        return self._observations([self._hear(connection) for connection in self._connections])

    def step_async(self, actions: Array) -> None:
        """Send each world its chunk; numbers outside -1..1 count as the nearest bound."""
        self._send(actions, renew=True)

    def step_wait(self) -> VecEnvStepReturn:
        """What came of it; worlds whose episode is over have begun the next one."""
        heard = [self._hear(connection) for connection in self._connections]
        success, done, fault = (np.concatenate([part[name] for part in heard]) for name in ("success", "done", "fault"))
        self.faults += int(fault.sum())
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = self._observations([part["last"] for part in heard])
        for row in np.flatnonzero(done | fault):
            infos[row] = {
                "terminal_observation": {name: values[row] for name, values in last.items()},
                "TimeLimit.truncated": bool(fault[row]),
            }
        return self._observations([part["seen"] for part in heard]), success.astype(np.float32), done | fault, infos

    def play(self, actions: Array) -> tuple[VecEnvObs, NDArray[np.bool_]]:
        """One chunk in every world without beginning new episodes; observations and successes (n,)."""
        self._send(actions, renew=False)
        heard = [self._hear(connection) for connection in self._connections]
        return self._observations([part["seen"] for part in heard]), np.concatenate([part["success"] for part in heard])

    def close(self) -> None:
        """Stop the processes."""
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.close()
            process.join(10.0)
            if process.is_alive():
                process.kill()
                process.join()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ANN401 - as the base class
        """Attributes of single environments: only their render mode, which is none."""
        if attr_name != "render_mode":
            raise AttributeError(f"worlds in other processes have no attribute {attr_name!r} to read")
        return [None] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ANN401 - as the base class
        """Not offered: raises AttributeError."""
        raise AttributeError(f"worlds in other processes have no attribute {attr_name!r} to set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:  # noqa: ANN401 - as the base class
        """Not offered: raises AttributeError."""
        raise AttributeError(f"worlds in other processes have no method {method_name!r}")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ANN401 - as the base class
        """No world is wrapped."""
        return [False] * len(list(self._get_indices(indices)))

    def _send(self, actions: Array, renew: bool) -> None:
        unit = np.clip(np.asarray(actions, np.float32), -1.0, 1.0)
        chunks = unit.reshape(self.num_envs, self._spec.horizon, len(self._spec.action))
        chunks = self._low + (chunks + 1) / 2 * (self._high - self._low)
        for worker, connection in enumerate(self._connections):
            connection.send(("play", (chunks[worker * self._each : (worker + 1) * self._each], renew)))

    def _observations(self, parts: Sequence[dict[str, Any]]) -> dict[str, Array]:
        seen = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "instructions"}
        texts = self._encode([text for part in parts for text in part["instructions"]])
        return {**seen, "text": texts.astype(np.int32)}

    @staticmethod
    def _hear(connection: Connection) -> Any:  # noqa: ANN401 - whatever the worker answers
        if not connection.poll(_LONGEST_S):
            raise TimeoutError(f"a process of worlds said nothing for {_LONGEST_S:.0f} s")
        try:
            return connection.recv()
        except EOFError as error:
            raise RuntimeError("a process of worlds has ended; its own error is printed above") from error
