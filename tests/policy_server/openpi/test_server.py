import asyncio
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from policy_api.images import encode_jpeg
from policy_api.schema import MAX_MESSAGE_BYTES, PolicySpec
from policy_api.spec_json import from_plain
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State
from websockets.sync.client import connect

from policy_server.backends.scripted import load_scripted
from policy_server.fixed_hub import FixedHub
from policy_server.openpi import wire
from policy_server.openpi.mapping import ObservationKeys
from policy_server.openpi.server import MAX_CONNECTIONS, OpenPiServer


class TellingPolicy:
    """dx carries joint 1, dy the red of the first camera, dz the observations remembered, the gripper the text."""

    revision = "7" * 64
    recurrent = True

    def __init__(self, spec):
        self.spec = spec
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()
        self.spoil = False
        self.rows = []

    def act(self, images, state, instructions, temperature=0.0, *, memory):
        self.inside.set()
        assert self.gate.wait(30)
        if self.spoil:
            raise RuntimeError("secret insides")
        seen = [(m or 0) + 1 for m in memory]
        actions = np.zeros((len(state), self.spec.horizon, 4), np.float32)
        actions[:, :, 0] = state[:, None, 0] * 0.01
        actions[:, :, 1] = images["front"].mean(axis=(1, 2))[:, None, 0] / 255 * 0.05
        actions[:, :, 2] = np.array(seen)[:, None] * 1e-3
        actions[:, :, 3] = np.array([len(text) for text in instructions])[:, None] * 1e-3
        self.rows += instructions
        return SimpleNamespace(actions=actions, memory=seen)


class CountingHub(FixedHub):
    """Also counts who came, went and was answered."""

    def __init__(self, policies):
        super().__init__(policies)
        self.placed, self.released, self.results = [], 0, []

    def place(self, robot_id, episode_id, model, revision, stable_only):
        placement = super().place(robot_id, episode_id, model, revision, stable_only)
        self.placed.append((robot_id, episode_id))
        return placement

    def release(self, placement, outcome):
        self.released += 1

    def waiting(self):
        return sum(served.waiting for served in self._served.values())

    def answered(self, placement, request, result):
        self.results.append(result)


@pytest.fixture
def policy(spec):
    return TellingPolicy(spec)


@pytest.fixture
def hub(policy):
    made = CountingHub([policy])
    policy.rows.clear()
    policy.inside.clear()
    yield made
    policy.gate.set()
    made.close()


@pytest.fixture
def chunks():
    return []


@pytest.fixture
def server(hub, chunks):
    observer = SimpleNamespace(chunk=chunks.append)
    running = OpenPiServer(hub, "127.0.0.1:0", observer=observer)
    yield running
    running.stop()


def robot(server, query=""):
    return WebsocketClientPolicy(f"ws://{server.address}/{query}")


def seen(joint1=0.5, red=200, prompt="push", **more):
    front = np.full((240, 320, 3), (red, 10, 20), np.uint8)
    state = np.array([joint1, 0, 0, 0, 0, 0, 0.03], np.float32)
    return {"images": {"front": front, "wrist": front}, "state": state, "prompt": prompt, **more}


def expected(joint1=0.5, red=200, prompt="push", count=1):
    return np.float32([joint1 * 0.01, red / 255 * 0.05, count * 1e-3, len(prompt) * 1e-3])


def told(answer, **what):
    np.testing.assert_allclose(answer["actions"], np.tile(expected(**what), (8, 1)), atol=2e-5)


def test_the_real_client_is_told_what_is_served_and_gets_its_actions(server, spec, chunks):
    client = robot(server, "?robot_id=left")
    metadata = client.get_server_metadata()
    assert from_plain(PolicySpec, metadata["contract"]) == spec
    assert (metadata["model"], metadata["revision"]) == ("echo", "7" * 64)
    assert metadata["spec_hash"] == spec.spec_hash
    answer = client.infer(seen())
    told(answer)
    assert answer["actions"].dtype == np.float32
    assert answer["revision"] == "7" * 64
    assert "prev_total_ms" not in answer["server_timing"]
    again = client.infer(seen(joint1=-1.0, prompt="lift it"))
    told(again, joint1=-1.0, prompt="lift it", count=2)
    timing = again["server_timing"]
    assert timing["prev_total_ms"] >= answer["server_timing"]["infer_ms"] > 0
    assert timing["batch"] == 1
    assert again["policy_timing"]["infer_ms"] <= timing["infer_ms"]
    assert [(c.robot_id, c.seq, c.step) for c in chunks] == [("left", 1, 0), ("left", 2, 8)]


def test_the_real_broker_plays_a_chunk_step_by_step(server, policy):
    broker = ActionChunkBroker(robot(server), action_horizon=8)
    for count in (1, 2):
        for _ in range(8):
            np.testing.assert_allclose(broker.infer(seen())["actions"], expected(count=count), atol=2e-5)
    assert len(policy.rows) == 2


def test_jpeg_bytes_do_as_well(server):
    answer = robot(server).infer(seen() | {"images/front": encode_jpeg(seen()["images"]["front"], 90)})
    np.testing.assert_allclose(answer["actions"], np.tile(expected(), (8, 1)), atol=1e-3)


def test_a_refusal_is_a_text_without_insides_and_the_connection_goes_on(server, policy, hub):
    client = robot(server)
    with pytest.raises(RuntimeError, match=r"'prompt' is missing; the observation has the keys images, state"):
        client.infer({name: value for name, value in seen().items() if name != "prompt"})
    with pytest.raises(RuntimeError, match="camera 'front': not a whole JPEG"):
        client.infer(seen() | {"images/front": b"\xff\xd8\xff"})
    with pytest.raises(RuntimeError, match="'step' must be a whole number, got float"):
        client.infer(seen(step=1.5))
    with pytest.raises(RuntimeError, match="step is -1; it must not be negative"):
        client.infer(seen(step=-1))
    with pytest.raises(RuntimeError, match="'episode' must be a text"):
        client.infer(seen(episode=3))
    policy.spoil = True
    with pytest.raises(RuntimeError, match=r"the policy raised an error; the server's log holds it") as error:
        client.infer(seen())
    assert "secret" not in str(error.value)
    assert "Traceback" not in str(error.value)
    policy.spoil = False
    told(client.infer(seen()))
    assert [type(result).__name__ for result in hub.results] == ["ServerFault", "Answer"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("hello", "binary message"),
        (b"\x80\x05cposix\nsystem\n.", "no msgpack"),
        (b"\x93\x01\x02\x03", "an observation is a map, got list"),
        (wire.pack({"state": 1}).replace(b"state", b"s\xfft\xffe"), "no msgpack"),
    ],
)
def test_what_is_no_observation_is_refused(server, data, text):
    with connect(f"ws://{server.address}") as raw:
        wire.unpack(raw.recv())
        for _ in range(2):
            raw.send(data)
            answer = raw.recv()
            assert isinstance(answer, str)
            assert text in answer


def test_too_large_a_message_ends_the_connection_and_nothing_else(server):
    with connect(f"ws://{server.address}") as raw:
        raw.recv()
        raw.send(b"\0" * (MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed) as error:
            raw.recv()
        assert error.value.rcvd.code == 1009
    told(robot(server).infer(seen()))


def test_an_episode_begins_anew_when_its_name_changes(server, hub):
    client = robot(server, "?robot_id=r")
    for count in (1, 2):
        told(client.infer(seen(episode="one")), count=count)
    told(client.infer(seen(episode="two")), count=1)
    told(client.infer(seen()), count=2)
    assert hub.placed == [("r", ""), ("r", "one"), ("r", "two")]
    assert hub.released == 2


def test_chunks_are_counted_or_addressed_by_step(spec):
    hub = FixedHub([load_scripted("wave")])
    server = OpenPiServer(hub, "127.0.0.1:0")
    try:
        motion = load_scripted("wave")
        camera = np.zeros((240, 320, 3), np.uint8)
        state = np.array([0, 1, -1, 0, 0, 0, 0.02], np.float32)
        message = {"observation/image": camera, "observation/state": state, "prompt": "wave"}
        client = robot(server)
        answers = [client.infer(message) for _ in range(3)]
        answers += [client.infer(message | {"step": 21}), client.infer(message)]
        for answer, step in zip(answers, (0, 4, 8, 21, 25), strict=True):
            wanted = motion.act({}, state[None], ["wave"], steps=[step]).actions[0]
            np.testing.assert_array_equal(answer["actions"], wanted)
    finally:
        server.stop()
        hub.close()


def test_eight_robots_at_once_are_never_confused(server):
    def play(number):
        client = robot(server)
        for count in range(1, 16):
            what = {"joint1": number / 4 - 1, "red": 20 + 25 * number, "prompt": "x" * (number + 3)}
            told(client.infer(seen(**what)), **what, count=count)
        return number

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(play, range(8))) == list(range(8))


def healthy(server):
    with urllib.request.urlopen(f"http://{server.address}/healthz", timeout=10) as answer:
        return answer.status == 200 and answer.read() == b"OK\n"


def test_health_and_other_robots_never_wait_for_the_policy(server, policy):
    first, second = robot(server), robot(server)
    policy.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(client.infer, seen(prompt="x" * n)) for n, client in ((3, first), (5, second))]
        for _ in range(5):
            assert healthy(server)
        assert robot(server).get_server_metadata()["model"] == "echo"
        assert not any(answer.done() for answer in waiting)
        policy.gate.set()
        told(waiting[0].result(30), prompt="xxx")
        told(waiting[1].result(30), prompt="xxxxx")


def until(true):
    """Wait for something that must come true."""
    for _ in range(1000):
        if true():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come true within 20 s")


def test_a_robot_that_goes_is_forgotten_and_its_question_not_asked(server, policy, hub):
    policy.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(robot(server).infer, seen(prompt="inside"))
        until(policy.inside.is_set)
        with connect(f"ws://{server.address}") as leaving:
            leaving.recv()
            leaving.send(wire.pack(seen(prompt="gone")))
            until(lambda: hub.waiting() == 1)
            leaving.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: sum(robot.state is State.OPEN for robot in list(server._robots)) == 1)
        policy.gate.set()
        told(first.result(30), prompt="inside")
    until(lambda: hub.released >= 1)
    told(robot(server).infer(seen(prompt="later")), prompt="later")
    assert policy.rows == ["inside", "later"]


def test_browsers_are_refused(server):
    with pytest.raises(InvalidStatus) as error:
        connect(f"ws://{server.address}", origin="http://evil.example")
    assert error.value.response.status_code == 403


def test_unknown_models_and_names_are_refused_with_the_reason(hub, server):
    for query, text in (("?model=pi0", "model 'pi0' is not served here"), ("?robot_id=" + "x" * 200, "at most 100")):
        with connect(f"ws://{server.address}/{query}") as raw, pytest.raises(ConnectionClosed) as error:
            raw.recv()
        assert error.value.rcvd.code == 1008
        assert text in error.value.rcvd.reason
    with pytest.raises(ValueError, match="have no 'rear'"):
        OpenPiServer(hub, "127.0.0.1:0", ObservationKeys({"rear": "x"}))
    assert hub.placed == []


def test_connections_are_bounded(server, hub):
    async def fill():
        held = [await connect_async(f"ws://{server.address}") for _ in range(MAX_CONNECTIONS)]
        for connection in held:
            await connection.recv()
        async with connect_async(f"ws://{server.address}") as one_more:
            with pytest.raises(ConnectionClosed) as error:
                await one_more.recv()
        assert error.value.rcvd.code == 1013
        await asyncio.gather(*(connection.close() for connection in held))

    asyncio.run(fill())
    told(robot(server).infer(seen()))


def test_stop_lets_the_answer_in_progress_out(hub, policy):
    server = OpenPiServer(hub, "127.0.0.1:0")
    busy = robot(server)
    policy.gate.clear()
    with ThreadPoolExecutor(2) as threads, connect(f"ws://{server.address}") as idle:
        idle.recv()
        answer = threads.submit(busy.infer, seen())
        until(policy.inside.is_set)
        stopped = threads.submit(server.stop, 20.0)
        with pytest.raises(ConnectionClosed) as error:
            idle.recv(timeout=20)
        assert error.value.rcvd.code == 1001
        policy.gate.set()
        told(answer.result(30))
        stopped.result(30)
    with pytest.raises(OSError, match=r"refused|reset"):
        connect(f"ws://{server.address}")


def test_stop_does_not_wait_for_a_policy_that_does_not_end(hub, policy):
    server = OpenPiServer(hub, "127.0.0.1:0")
    client = robot(server)
    policy.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(client.infer, seen())
        until(policy.inside.is_set)
        server.stop(grace_s=0.1)
        with pytest.raises(ConnectionClosed):
            answer.result(30)
    policy.gate.set()


def test_only_this_machine_is_listened_to(hub):
    for address in ("0.0.0.0:0", "192.168.1.4:8000", "[::]:8000"):
        with pytest.raises(ValueError, match="refusing to listen"):
            OpenPiServer(hub, address)
    with pytest.raises(ValueError, match="give host:port"):
        OpenPiServer(hub, "unix:/tmp/socket")
    with pytest.raises(ValueError, match="is not host:port"):
        OpenPiServer(hub, "8000")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"cannot listen on {address}; is another server running there"):
            OpenPiServer(hub, address)
