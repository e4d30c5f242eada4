import os

import pytest
from policy_api.errors import PermissionDenied

from policy_server.denied import Denied
from policy_server.security import Peer, Role, TlsError

STOLEN, GOOD, BOSS = Peer(Role.ROBOT, "arm-3"), Peer(Role.ROBOT, "arm-4"), Peer(Role.ADMIN, "arm-3")


@pytest.fixture
def write(tmp_path):
    """Write the file; each time with a later date, whatever the clock's step is."""
    path, dates = tmp_path / "denied.txt", iter(range(1_000_000, 2_000_000))

    def put(text):
        path.write_text(text)
        os.utime(path, (0, next(dates)))
        return path

    return put


def refused(denied, peer):
    try:
        denied.check(peer)
    except PermissionDenied as error:
        assert peer.uri in str(error)
        return True
    return False


def test_those_who_are_named_are_refused(write):
    denied = Denied(write("# since spring\n\narmature://robot/arm-3   # stolen\n"))
    assert refused(denied, STOLEN)
    assert not refused(denied, GOOD)
    assert not refused(denied, BOSS)


def test_the_file_may_come_and_go(tmp_path, write):
    denied = Denied(tmp_path / "denied.txt")
    assert not refused(denied, STOLEN)
    write("armature://robot/arm-3")
    assert refused(denied, STOLEN)
    path = write("armature://robot/arm-4")
    assert not refused(denied, STOLEN)
    assert refused(denied, GOOD)
    path.unlink()
    assert not refused(denied, GOOD)


def test_a_line_that_names_nobody_stops_the_start(write):
    with pytest.raises(TlsError, match=r"denied.txt:2: 'arm-3' is not armature://robot/NAME"):
        Denied(write("armature://robot/arm-4\narm-3\n"))


def test_a_file_that_is_spoiled_later_changes_nothing(write, caplog):
    denied = Denied(write("armature://robot/arm-3"))
    write("arm-4")
    assert refused(denied, STOLEN)
    assert not refused(denied, GOOD)
    assert "denied certificates are as before" in caplog.text
    write("armature://robot/arm-4")
    assert refused(denied, GOOD)
