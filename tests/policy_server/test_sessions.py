import pytest
from policy_api.errors import ServerBusy, StaleRequest, UnknownSession

from policy_server.sessions import MAX_SESSIONS, SessionTable

LEASE_NS = 1000


@pytest.fixture
def table():
    return SessionTable(LEASE_NS)


def test_requests_must_rise(table):
    key = table.open("r", 0)
    table.accept(key, 1, 1, 0)
    table.accept(key, 1, 5, 0)
    for seq in (5, 4, 0):
        with pytest.raises(StaleRequest, match=f"request {seq} came after request 5"):
            table.accept(key, 1, seq, 0)
    table.accept(key, 1, 6, 0)


def test_reset_ends_the_epoch(table):
    key = table.open("r", 0)
    table.accept(key, 1, 3, 0)
    table.check_epoch(key, 1, 0)
    assert table.reset(key, 0) == 2
    with pytest.raises(StaleRequest, match="reset to epoch 2"):
        table.check_epoch(key, 1, 0)
    for epoch in (0, 1, 3):
        with pytest.raises(StaleRequest, match=f"epoch {epoch}, the session is in epoch 2"):
            table.accept(key, epoch, 4, 0)
    with pytest.raises(StaleRequest):
        table.accept(key, 2, 3, 0)  # a reset does not let an old request through
    table.accept(key, 2, 4, 0)


def test_lease_is_renewed_by_use_and_ends_in_silence(table):
    key = table.open("r", 0)
    table.accept(key, 1, 1, 900)
    table.reset(key, 1800)
    table.accept(key, 2, 2, 2799)
    with pytest.raises(UnknownSession, match="open a new session"):
        table.accept(key, 2, 3, 3799)
    with pytest.raises(UnknownSession):
        table.reset(key, 0)  # forgotten for good


def test_closed_and_unknown_sessions(table):
    key = table.open("r", 0)
    table.close(key, 0)
    for call in (lambda: table.accept(key, 1, 1, 0), lambda: table.close(key, 0), lambda: table.reset("", 0)):
        with pytest.raises(UnknownSession):
            call()


def test_table_is_bounded_and_frees_silent_sessions(table):
    keys = {table.open("r", 0) for _ in range(MAX_SESSIONS)}
    assert len(keys) == MAX_SESSIONS
    with pytest.raises(ServerBusy, match=str(MAX_SESSIONS)):
        table.open("r", LEASE_NS - 1)
    table.open("r", LEASE_NS)
