import sys
from pathlib import Path

import numpy as np
import pytest
from policy_api.images import encode_jpeg
from policy_api.schema import CameraSpec, EncodedImage, FieldSpec, Observation, PolicySpec

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))


@pytest.fixture
def spec():
    return PolicySpec(
        model="test_model",
        cameras=(CameraSpec("front", 160, 120, 64, 90), CameraSpec("wrist", 128, 96, 32, 80)),
        state=(
            *(FieldSpec(f"joint{i}", "rad", -3.0, 3.0) for i in range(1, 7)),
            FieldSpec("gripper", "m", 0.0, 0.07),
        ),
        action_space="ee_delta_position",
        action=(
            *(FieldSpec(name, "m", -0.05, 0.05) for name in ("dx", "dy", "dz")),
            FieldSpec("gripper", "m", 0.0, 0.07),
        ),
        horizon=8,
        dt_s=0.1,
        settle_s=0.2,
        firmware_zero="current",
        task="push_cube",
    )


@pytest.fixture
def observation(spec):
    images = {
        camera.name: EncodedImage(
            "jpeg",
            camera.width,
            camera.height,
            encode_jpeg(np.full((camera.height, camera.width, 3), 99, np.uint8), camera.jpeg_quality),
            capture_ns=5,
        )
        for camera in spec.cameras
    }
    return Observation(np.linspace(0, 0.06, 7, dtype=np.float32), images, "push the red cube", 10, 3)
