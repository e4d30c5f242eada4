"""What of a task's contract settings may choose."""

from __future__ import annotations

from dataclasses import dataclass

from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec

from sim_train.envs.specs import task_spec


@dataclass(frozen=True)
class ContractConfig:
    """What the policy sees, and for how long it acts before it sees again. The rest belongs to the task."""

    cameras: tuple[str, ...] = ("front",)
    """Cameras of the task's scene."""
    image_size: int = 64
    """Pixels, square, that the network gets of each camera: 8..480; OpenVLA-OFT needs 224."""
    privileged: bool = False
    """Also tell the places of the task's bodies, for baselines; then `cameras` may be empty."""
    horizon: int = 4
    """Steps (0.1 s) of a chunk: 4..50. An episode has fewer chunks if they are longer."""

    @classmethod
    def of(cls, spec: PolicySpec) -> ContractConfig:
        """What was chosen for a contract, if it was made here. A network sees all its cameras at one size."""
        size = spec.cameras[0].input_size if spec.cameras else cls.image_size
        privileged = spec.state[-1].name.endswith("_z")
        return cls(tuple(camera.name for camera in spec.cameras), size, privileged, spec.horizon)

    def spec(self, task: str) -> PolicySpec:
        """The contract for a task, or for several as in "pick_cube+push_cube"; ValueError says what cannot be."""
        try:
            return task_spec(task, self.cameras, self.image_size, self.privileged, self.horizon)
        except InvalidSpec as error:
            raise ValueError(f"contract: {error}") from error
