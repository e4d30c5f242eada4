"""What the tests of recorded episodes share."""

import pytest
from made_episodes import perform


@pytest.fixture(scope="session")
def done():
    """One pick of a cube, as a robot records it; not to be changed."""
    made = perform("pick_cube", 5)
    assert made.success and len(made.chunks) >= 3
    return made
