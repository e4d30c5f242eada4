import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))
sys.path.insert(0, str(Path(__file__).parent))

from camera_recordings import make_recording
from ros_helpers import Ros, ros_session


@pytest.fixture
def ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    with ros_session(tmp_path, monkeypatch) as session:
        yield session


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second of colour and depth of a device with the serial number 812112."""
    path = str(tmp_path_factory.mktemp("recordings") / "desk.db3")
    make_recording(path)
    return path
