import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from policy_api import shared_frames
from policy_api.errors import InvalidObservation, SharedFramesUnavailable
from policy_api.shared_frames import (
    SharedFrameRing,
    is_local_peer,
    read_shared,
    remove_stale_rings,
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def ring(folder):
    with SharedFrameRing(3, 1000, folder) as made:
        yield made


def test_frames_of_any_size_come_back(ring, folder):
    for data in (b"a", b"b" * 999, b"c" * 1000):
        assert read_shared(ring.write(data), folder) == data


def test_a_frame_is_there_until_the_ring_comes_round(ring, folder):
    places = [ring.write(bytes([n]) * 10) for n in range(4)]
    with pytest.raises(InvalidObservation, match=r"overwritten.*send a newer"):
        read_shared(places[0], folder)
    for n in (1, 2, 3):
        assert read_shared(places[n], folder) == bytes([n]) * 10


def test_a_frame_that_is_overwritten_while_it_is_copied_is_refused(ring, folder, monkeypatch):
    place = ring.write(b"x" * 100)
    pread = os.pread

    def slow(descriptor, size, offset):
        data = pread(descriptor, size, offset)
        if size == 100:
            for _ in range(3):
                ring.write(b"y" * 100)
        return data

    monkeypatch.setattr(os, "pread", slow)
    with pytest.raises(InvalidObservation, match="overwritten"):
        read_shared(place, folder)


def test_a_half_written_frame_is_refused(ring, folder, monkeypatch):
    place = ring.write(b"x" * 100)
    written = []

    def stop(descriptor, data, offset):
        written.append(offset)
        raise OSError("the process died here")

    monkeypatch.setattr(shared_frames, "_write_all", stop)
    for _ in range(3):
        with pytest.raises(OSError, match="died"):
            ring.write(b"y" * 100)
        ring._written += 1
    assert written[-1] == place.offset
    with pytest.raises(InvalidObservation, match="overwritten"):
        read_shared(place, folder)


def test_only_its_user_may_open_a_ring_and_nobody_knows_its_name(ring, folder):
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    with SharedFrameRing(3, 1000, folder) as other:
        assert other.write(b"x").name != ring.write(b"x").name
    assert other.write.__self__._first_ticket != ring._first_ticket


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"name": "../../etc/passwd"}, "names no ring"),
        ({"name": "/etc/passwd"}, "names no ring"),
        ({"name": "armature-policy-" + "a" * 32 + "/x"}, "names no ring"),
        ({"name": "armature-policy-" + "a" * 32}, "cannot be opened here.*one host"),
        ({"offset": 0}, "behind a header"),
        ({"offset": 2**63}, "has no 4 bytes"),
        ({"offset": 64 + 1064 * 3}, "has no 4 bytes"),
        ({"offset": 65}, "overwritten"),
        ({"size": 0}, "a shared frame has 1"),
        ({"size": 2**40}, "a shared frame has 1"),
        ({"size": 5000}, "has no 5000 bytes"),
        ({"ticket": 0}, "a ticket"),
        ({"ticket": 1}, "overwritten"),
    ],
)
def test_a_place_that_is_none_is_refused(ring, folder, change, names):
    place = ring.write(b"data")
    with pytest.raises(InvalidObservation, match=names):
        read_shared(replace(place, **change), folder)


def test_links_pipes_and_truncated_rings_are_refused(ring, folder):
    place = ring.write(b"data")
    linked = folder / ("armature-policy-" + "b" * 32)
    linked.symlink_to(folder / place.name)
    with pytest.raises(InvalidObservation, match="cannot be opened"):
        read_shared(replace(place, name=linked.name), folder)
    pipe = folder / ("armature-policy-" + "c" * 32)
    os.mkfifo(pipe)
    with pytest.raises(InvalidObservation, match="has no 4 bytes"):
        read_shared(replace(place, name=pipe.name), folder)
    os.truncate(folder / place.name, 10)
    with pytest.raises(InvalidObservation, match="has no 4 bytes"):
        read_shared(place, folder)


def test_close_removes_the_ring_even_twice(folder):
    ring = SharedFrameRing(1, 10, folder)
    place = ring.write(b"x")
    ring.close()
    ring.close()
    assert not list(folder.iterdir())
    with pytest.raises(InvalidObservation, match="cannot be opened"):
        read_shared(place, folder)


def test_a_ring_of_a_killed_process_is_removed_and_a_living_one_is_not(ring, folder):
    code = (
        "import sys, time; from pathlib import Path; from policy_api.shared_frames import SharedFrameRing;"
        "SharedFrameRing(2, 10, Path(sys.argv[1])); r = SharedFrameRing(2, 10, Path(sys.argv[1]));"
        "print(r.write(b'x').name, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True)
    name = child.stdout.readline().strip()
    assert remove_stale_rings(folder) == []
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    child.stdout.close()
    removed = remove_stale_rings(folder)
    assert folder / name in removed
    assert [path.name for path in folder.iterdir()] == [ring.write(b"x").name]


def test_a_host_without_enough_memory_says_so(tmp_path):
    with pytest.raises(SharedFramesUnavailable, match="shared_memory=False"):
        SharedFrameRing(1, 10, tmp_path / "missing")
    with pytest.raises(ValueError, match="slots"):
        SharedFrameRing(0, 10, tmp_path)
    with SharedFrameRing(1, 10, tmp_path) as ring, pytest.raises(ValueError, match="a slot takes"):
        ring.write(b"x" * 11)


def test_the_default_place_is_shared_memory():
    with SharedFrameRing(1, 10) as ring:
        place = ring.write(b"x")
        assert (Path("/dev/shm") / place.name).exists()
        assert read_shared(place) == b"x"


@pytest.mark.parametrize("peer", ["unix:", "unix:/tmp/s", "ipv4:127.0.0.1:5", "ipv6:[::1]:5", "ipv6:%5B::1%5D:5"])
def test_local_peers(peer):
    assert is_local_peer(peer)


@pytest.mark.parametrize("peer", ["", "ipv4:10.0.0.1:5", "ipv6:[::2]:5", "ipv4:12.7.0.0:1", "ipv6:[::10]:1"])
def test_other_peers(peer):
    assert not is_local_peer(peer)
