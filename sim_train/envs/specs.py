"""The contract of a task, or of several that one policy does: what the policy sees and does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from piper_description import GRIPPER_MAX_OPENING, JOINT_LIMITS, JOINT_NAMES
from policy_api.errors import InvalidSpec
from policy_api.schema import CameraSpec, FieldSpec, PolicySpec, first_difference

from sim_train.envs.chunks import MAX_HORIZON, REST_STEPS, TASK_HORIZON
from sim_train.worlds.task import STEP_LIMIT_M, Task
from sim_train.worlds.tasks import make_task, task_names

MAX_STEP_M: Final = STEP_LIMIT_M
_DT_S: Final = 0.1

_NEAR_M: Final = 1.0
"""Places of bodies are told up to this distance from the arm's base, along each axis."""


def task_spec(
    task: str | Task,
    cameras: Sequence[str] = ("front",),
    image_size: int = 64,
    privileged: bool = False,
    horizon: int = TASK_HORIZON,
) -> PolicySpec:
    """The contract for policies of `task`: cameras, joint positions, TCP displacements in chunks of `horizon` steps.

    Several tasks that one policy does are named as in "pick_cube+push_cube".
    The network sees `image_size` x `image_size` pixels of each of `cameras`, which stream 320 x 240, or 640 x 480 where
    the network sees more than 240. With two arms, the fields of each bear its name in front and one arm's follow the
    other's. A `privileged` state also has the places of the task's bodies (m, frame of the first arm's base), for
    baselines that see no pictures: with it `cameras` may be empty.
    Raises ValueError for an unknown task or camera, and for tasks whose contracts differ; InvalidSpec for sizes outside
    8..480 and a horizon outside 4..50.
    """
    if not TASK_HORIZON <= horizon <= MAX_HORIZON:
        raise InvalidSpec(f"horizon is {horizon}; a chunk has {TASK_HORIZON}..{MAX_HORIZON} steps")
    if isinstance(task, Task):
        return _spec_of(task, cameras, image_size, privileged, horizon)
    names = task_names(task)
    first, *others = (
        replace(_spec_of(make_task(n), cameras, image_size, privileged, horizon), task=task) for n in names
    )
    for name, other in zip(names[1:], others, strict=True):
        if difference := first_difference(first, other):
            raise ValueError(
                f"one policy cannot do {names[0]!r} and {name!r}: their contracts differ ({difference}); train one for "
                "each"
            )
    return first


def _spec_of(made: Task, cameras: Sequence[str], image_size: int, privileged: bool, horizon: int) -> PolicySpec:
    known = [camera.name for camera in made.scene().cameras]
    if unknown := [name for name in cameras if name not in known]:
        raise ValueError(f"task {made.name!r} has no camera {unknown[0]!r}; it has {', '.join(known)}")
    width, height = (320, 240) if image_size <= 240 else (640, 480)
    names = [arm.name for arm in made.scene().arms]
    units = ("rad",) * 6 + ("m",)
    bodies = [body.name for body in made.scene().bodies if body.slide is None] if privileged else []
    limits = list(zip(JOINT_NAMES, units, JOINT_LIMITS.lower, JOINT_LIMITS.upper, strict=True))
    spec = PolicySpec(
        model="token_vla",
        cameras=tuple(CameraSpec(name, width, height, input_size=image_size, jpeg_quality=90) for name in cameras),
        state=(
            *(FieldSpec(arm + n, unit, float(low), float(high)) for arm in names for n, unit, low, high in limits),
            *(FieldSpec(f"{body}_{axis}", "m", -_NEAR_M, _NEAR_M) for body in bodies for axis in "xyz"),
        ),
        action_space="ee_delta_position",
        action=tuple(
            field
            for arm in names
            for field in (
                *(FieldSpec(arm + axis, "m", -MAX_STEP_M, MAX_STEP_M) for axis in ("dx", "dy", "dz")),
                FieldSpec(arm + "gripper", "m", 0.0, GRIPPER_MAX_OPENING),
            )
        ),
        horizon=horizon,
        dt_s=_DT_S,
        settle_s=REST_STEPS * _DT_S,
        firmware_zero="current",
        task=made.name,
    )
    spec.validate()
    return spec
