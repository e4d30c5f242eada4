from types import SimpleNamespace

import pytest
from policy_api.errors import PermissionDenied, ServerBusy, UnknownSession

from policy_server.seam import Placement
from policy_server.sessions import MAX_LEASE_NS, MAX_SESSIONS, MAX_SESSIONS_PER_ROBOT, MIN_LEASE_NS, SessionTable

LEASE_NS = 1000
PLACE = Placement(SimpleNamespace(spec=SimpleNamespace(model="m")), "stable")


@pytest.fixture
def table():
    return SessionTable(LEASE_NS)


def test_lease_is_renewed_by_use_and_ends_in_silence(table):
    session = table.open("r", None, PLACE, 0)
    assert table.get(session.session_id, None, 900) is session
    assert table.get(session.session_id, None, 1899) is session
    with pytest.raises(UnknownSession, match="open a new session"):
        table.get(session.session_id, None, 2899)


@pytest.mark.parametrize(
    ("asked_ns", "granted_ns"),
    [(0, LEASE_NS), (5, MIN_LEASE_NS), (7 * MIN_LEASE_NS, 7 * MIN_LEASE_NS), (MAX_LEASE_NS + 1, MAX_LEASE_NS)],
)
def test_lease_that_is_asked_for_is_kept_within_bounds(table, asked_ns, granted_ns):
    assert table.open("r", None, PLACE, 0, lease_ns=asked_ns).lease_ns == granted_ns


def test_unknown_and_removed_sessions(table):
    session = table.open("r", None, PLACE, 0)
    assert table.remove(session, "the session was closed")
    assert not table.remove(session, "again")
    with pytest.raises(UnknownSession):
        table.get(session.session_id, None, 0)
    with pytest.raises(UnknownSession):
        table.move(session, PLACE)
    with pytest.raises(UnknownSession, match="the session was closed; open a new session"):
        session.slot.accept(1, 1)
    with pytest.raises(UnknownSession, match=f"'{'x' * 64}'"):
        table.get("x" * 1000, None, 0)


@pytest.mark.parametrize("stranger", ["robot-2", None])
def test_session_answers_to_the_identity_that_opened_it(table, stranger):
    session = table.open("robot-1", "robot-1", PLACE, 0)
    assert table.get(session.session_id, "robot-1", 0) is session
    with pytest.raises(PermissionDenied, match=f"opened by 'robot-1', your certificate says {stranger!r}"):
        table.get(session.session_id, stranger, 0)


def test_table_is_bounded(table):
    sessions = [table.open(f"r{i}", None, PLACE, 0) for i in range(MAX_SESSIONS)]
    assert len({session.session_id for session in sessions}) == len(table) == MAX_SESSIONS
    with pytest.raises(ServerBusy, match=str(MAX_SESSIONS)):
        table.open("r", None, PLACE, 0)
    table.remove(sessions[0], "closed")
    table.open("r", None, PLACE, 0)


def test_one_robot_does_not_lock_out_the_others(table):
    sessions = [table.open("leaky", None, PLACE, 0) for _ in range(MAX_SESSIONS_PER_ROBOT)]
    with pytest.raises(ServerBusy, match=f"robot 'leaky' has {MAX_SESSIONS_PER_ROBOT} open sessions"):
        table.open("leaky", None, PLACE, 0)
    table.open("other", None, PLACE, 0)
    table.remove(sessions[0], "closed")
    table.open("leaky", None, PLACE, 0)


def test_move_gives_the_placement_before(table):
    session = table.open("r", None, PLACE, 0)
    canary = Placement(PLACE.served, "canary")
    assert table.move(session, canary) is PLACE
    assert session.placement is canary


def test_views_tell_age_and_silence(table):
    session = table.open("r", None, PLACE, 0)
    table.get(session.session_id, None, 600)
    (view,) = table.views(900)
    assert (view.robot_id, view.model, view.slot) == ("r", "m", "stable")
    assert view.age_s == pytest.approx(900e-9)
    assert view.silent_s == pytest.approx(300e-9)
