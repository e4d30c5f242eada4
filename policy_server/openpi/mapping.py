"""From the names that openpi's robots give to the parts of an observation to the contract's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import InvalidObservation
from policy_api.schema import CameraSpec, EncodedImage, Observation, PolicySpec

STATE, PROMPT = "state", "prompt"
_STATE_KEYS = ("state", "observation/state")
_PROMPT_KEYS = ("prompt",)
_CAMERA_KEYS = ("images/{}", "observation/images/{}", "observation/{}", "{}")
_ONLY_CAMERA_KEYS = ("observation/image", "image")
_MISSING = object()


@dataclass(frozen=True)
class ObservationKeys:
    """Where the parts of an observation are: "state", "prompt" or a camera's name -> key, instead of the usual ones."""

    chosen: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "ObservationKeys":
        """Of texts such as "front=observation/exterior_image_1_left"; ValueError for any other."""
        chosen = {}
        for text in texts:
            name, equals, key = text.partition("=")
            if not equals or not name or not key:
                raise ValueError(f"{text!r} is not NAME=KEY, for example front=observation/exterior_image_1_left")
            chosen[name] = key
        return cls(chosen)

    def check(self, specs: Sequence[PolicySpec]) -> None:
        """ValueError if a name is no part of any contract's observations. Nothing is known before there is one."""
        known = [STATE, PROMPT, *dict.fromkeys(camera.name for spec in specs for camera in spec.cameras)]
        if specs and (unknown := [name for name in self.chosen if name not in known]):
            raise ValueError(f"observations have no {unknown[0]!r}; they have {', '.join(known)}")

    def read(self, message: Mapping[str, Any], spec: PolicySpec, step: int) -> Observation:
        """The observation in a message, taken at control step `step`. InvalidObservation says what does not fit."""
        images = {}
        for camera in spec.cameras:
            usual = [key.format(camera.name) for key in _CAMERA_KEYS]
            usual += _ONLY_CAMERA_KEYS if len(spec.cameras) == 1 else ()
            key, value = self._find(message, camera.name, usual)
            images[camera.name] = _image(key, value, camera)
        key, prompt = self._find(message, PROMPT, _PROMPT_KEYS)
        if not isinstance(prompt, str):
            raise InvalidObservation(f"{key!r} must be a text, got {type(prompt).__name__}")
        observation = Observation(self._state(message), images, prompt, stamp_ns=0, step=step)
        observation.validate(spec)
        return observation

    def _state(self, message: Mapping[str, Any]) -> NDArray[np.float32]:
        if STATE not in self.chosen:
            return _numbers(*self._find(message, STATE, _STATE_KEYS))
        parts = [self._find(message, "", (key,)) for key in self.chosen[STATE].split("+")]
        return np.concatenate([_numbers(*part) for part in parts])

    def _find(self, message: Mapping[str, Any], name: str, usual: Sequence[str]) -> tuple[str, Any]:
        """(key, value) of the first key that is there."""
        keys = [self.chosen[name]] if name in self.chosen else usual
        for key in keys:
            value = _value(message, key)
            if value is not _MISSING:
                return key, value
        raise InvalidObservation(
            f"{' or '.join(repr(key) for key in keys)} is missing; the observation has the keys "
            f"{', '.join(sorted(map(str, message)))[:200] or 'none'}. "
            "Rename it, or start the server with --openpi-key NAME=KEY"
        )


def _value(message: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - whatever was sent
    """What stands under a key, flat or in nested maps; _MISSING if nothing does."""
    if key in message:
        return message[key]
    value: Any = message
    for part in key.split("/"):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _numbers(key: str, value: Any) -> NDArray[np.float32]:  # noqa: ANN401 - whatever was sent
    if isinstance(value, (list, int, float)):
        plain = value if isinstance(value, list) else [value]
        if all(isinstance(number, (int, float)) for number in plain):
            return np.array(plain, dtype=np.float64).astype(np.float32)
    if isinstance(value, np.ndarray) and value.ndim <= 1 and value.dtype.kind in "iuf":
        return np.atleast_1d(value).astype(np.float32)
    kind = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise InvalidObservation(f"{key!r} must be a row of numbers, got {kind}")


def _image(key: str, value: Any, camera: CameraSpec) -> EncodedImage:  # noqa: ANN401 - whatever was sent
    size = camera.width, camera.height
    if isinstance(value, bytes):
        return EncodedImage("jpeg", *size, value, 0)
    shape = (camera.height, camera.width, 3)
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape == shape:
        return EncodedImage("rgb8", *size, value.tobytes(), 0)
    kind = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise InvalidObservation(
        f"{key!r} must be a {shape} uint8 RGB frame as camera {camera.name!r} gives it, or the bytes of a JPEG of that "
        f"size, got {kind}; do not resize it: the server does what training did"
    )
