"""Motions that are written down instead of learned: to try a robot, a network or a safety limit without a policy.

`hold` leaves the arm where it is, `wave` moves one action like a sine, `sweep` moves every action in turn. Others are
named in a YAML file:

    contract: contract.json       # beside this file; without it the one of `contract.json` beside this module
    motions:
      nod: {kind: wave, action: dz, amplitude: 0.005, period_s: 2.0}
      try_all: {kind: sweep, amplitude_share: 0.1, period_s: 4.0}

`amplitude` is in the action's unit; `amplitude_share` is a share of what the range allows.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray
from policy_api.errors import InvalidSpec
from policy_api.schema import FieldSpec, PolicySpec

from policy_server.backends.errors import BackendError
from policy_server.backends.stepped_policy import SteppedPolicy

BUILT_IN: Final[dict[str, dict[str, Any]]] = {
    "hold": {"kind": "hold"},
    "wave": {"kind": "wave", "action": "dz", "amplitude": 0.005, "period_s": 4.0},
    "sweep": {"kind": "sweep", "amplitude_share": 0.1, "period_s": 4.0},
}
CONTRACT: Final = Path(__file__).parent / "contract.json"
"""One arm, one camera, chunks of four steps: what the tasks of the simulator have by default."""
_ACTION_SPACE = "ee_delta_position"
_MAX_YAML_BYTES = 64 * 1024


@dataclass(frozen=True)
class ScriptedMotion:
    """A sine of some actions, one after the other, a period each; the others rest.

    A displacement (dx, dy, dz) rests at 0 and follows a cosine, so that its sum is the sine: after a whole period the
    arm is back. An absolute action (the gripper's opening) rests where it is measured and swings about the middle of
    its range.
    """

    kind: str
    fields: tuple[int, ...]
    """Indices of the actions that move, in turn; none for `hold`."""
    amplitudes: tuple[float, ...]
    """Of each, in its unit."""
    centres: tuple[float, ...]
    displacement: tuple[bool, ...]
    period_steps: int

    def actions(self, steps: NDArray[np.int64], rest: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions (H, A) at the control steps (H,) counted from 0."""
        rows = np.tile(rest, (len(steps), 1))
        if not self.fields:
            return rows
        turn, phase = np.divmod(steps, self.period_steps)
        angle = 2 * np.pi * (phase + 0.5) / self.period_steps
        for i, field in enumerate(self.fields):
            wave = np.cos(angle) if self.displacement[i] else np.sin(angle)
            moving = turn % len(self.fields) == i
            rows[:, field] = np.where(moving, self.centres[i] + self.amplitudes[i] * wave, rows[:, field])
        return rows


def load_scripted(name: str, file: Path | None = None) -> SteppedPolicy:
    """The built-in motion `name`, or the one of that name in a YAML file.

    Raises:
        BackendError: there is none of that name, or the file says something that cannot be; the text names the key.
    """
    known, contract = (BUILT_IN, CONTRACT) if file is None else _read(file)
    where = str(file or "the built-in motions")
    if name not in known:
        raise BackendError(f"{where}: there is no motion {name!r}; known are {', '.join(known) or 'none'}")
    spec = _contract(contract)
    if spec.action_space != _ACTION_SPACE:
        raise BackendError(
            f"{contract}: the action space is {spec.action_space!r}; motions are scripted as displacements of the "
            f"tool, so take a contract with {_ACTION_SPACE!r}"
        )
    motion = _motion(f"{where}: motions.{name}", known[name], spec)
    return SteppedPolicy(spec, motion, json.dumps(asdict(motion), sort_keys=True).encode())


def _read(file: Path) -> tuple[dict[str, Any], Path]:
    """The motions by name, as plain values, and the path of the contract."""
    try:
        text = file.read_text(encoding="utf-8")
        if len(text) > _MAX_YAML_BYTES:
            raise BackendError(f"{file} has {len(text)} characters, at most {_MAX_YAML_BYTES} are read")
        plain = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BackendError(f"{file} cannot be read as YAML: {error}") from error
    if not isinstance(plain, dict) or not isinstance(plain.get("motions"), dict):
        raise BackendError(f"{file}: expected a mapping with the key 'motions', which names motions")
    if unknown := [key for key in plain if key not in ("contract", "motions")]:
        raise BackendError(f"{file}: {unknown[0]!r} is unknown; known are contract, motions")
    return plain["motions"], file.parent / str(plain["contract"]) if "contract" in plain else CONTRACT


def _contract(path: Path) -> PolicySpec:
    try:
        return PolicySpec.from_json(path.read_text(encoding="utf-8"))
    except (InvalidSpec, OSError, UnicodeDecodeError) as error:
        raise BackendError(f"{path} holds no contract: {error}") from error


def _motion(path: str, plain: Any, spec: PolicySpec) -> ScriptedMotion:  # noqa: ANN401 - parsed YAML
    keys = {
        "hold": {"kind"},
        "wave": {"kind", "action", "period_s", "amplitude"},
        "sweep": {"kind", "period_s", "amplitude_share"},
    }
    kind = plain.get("kind") if isinstance(plain, dict) else None
    if kind not in keys:
        raise BackendError(f"{path}.kind: got {kind!r}, expected one of {', '.join(keys)}")
    if set(plain) != keys[kind]:
        raise BackendError(f"{path}: has the keys {sorted(map(str, plain))}, a {kind} has {sorted(keys[kind])}")
    if kind == "hold":
        return ScriptedMotion(kind, (), (), (), (), 1)
    period = round(_number(f"{path}.period_s", plain["period_s"], 4 * spec.dt_s, 3600.0) / spec.dt_s)
    measured = {field.name for field in spec.state}
    absolute = [field.name in measured for field in spec.action]
    rooms = [_room(field, known) for field, known in zip(spec.action, absolute, strict=True)]
    if kind == "wave":
        names = [field.name for field in spec.action]
        if plain["action"] not in names:
            raise BackendError(f"{path}.action: {plain['action']!r} is unknown; known are {', '.join(names)}")
        fields: tuple[int, ...] = (names.index(plain["action"]),)
        amplitudes = [_number(f"{path}.amplitude", plain["amplitude"], 0.0, rooms[fields[0]])]
    else:
        share = _number(f"{path}.amplitude_share", plain["amplitude_share"], 0.0, 1.0)
        fields = tuple(range(len(rooms)))
        amplitudes = [share * room for room in rooms]
    centres = [(spec.action[i].lower + spec.action[i].upper) / 2 if absolute[i] else 0.0 for i in fields]
    return ScriptedMotion(
        kind, fields, tuple(amplitudes), tuple(centres), tuple(not absolute[i] for i in fields), period
    )


def _room(field: FieldSpec, absolute: bool) -> float:
    """How far an action may swing both ways: a displacement about 0, an absolute one about its middle."""
    return (field.upper - field.lower) / 2 if absolute else max(0.0, min(-field.lower, field.upper))


def _number(path: str, value: Any, lower: float, upper: float) -> float:  # noqa: ANN401 - parsed YAML
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lower <= value <= upper:
        raise BackendError(f"{path}: got {value!r}, expected a number of {lower:g}..{upper:g}")
    return float(value)
