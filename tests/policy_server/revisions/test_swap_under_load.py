"""Revisions change while robots run: no request fails, and no episode changes hands."""

import threading
from dataclasses import dataclass, field

import grpc
import pytest
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.client import PolicyClient
from revision_policies import until

from policy_server.admin_service import PolicyAdminService
from policy_server.revisions.jobs import LoadJobs
from policy_server.server import AdminConfig, PolicyServer, ServerConfig

ROBOTS = 4
CHUNKS = 3  # an episode


@dataclass
class Robot:
    """Runs episodes until it is told to stop; notes which revisions answered each of them."""

    name: str
    address: str
    observation: object
    stop: threading.Event
    episodes: list = field(default_factory=list)
    errors: list = field(default_factory=list)

    def run(self):
        try:
            with PolicyClient(self.address, self.name) as client:
                client.open_session(episode_id="0")
                while not self.stop.is_set():
                    answers = {client.infer(self.observation, 30).revision for _ in range(CHUNKS)}
                    self.episodes.append(answers)
                    client.reset_session(str(len(self.episodes)), timeout_s=30)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test has to see it
            self.errors.append(error)


@pytest.fixture
def server(hub, operations, loader):
    loader.load("one", "", lambda step: None)
    servicer = PolicyAdminService(operations, LoadJobs(loader))
    running = PolicyServer(hub, ServerConfig("127.0.0.1:0", admin=AdminConfig(servicer, "127.0.0.1:0")))
    yield running
    running.stop()


def test_load_canary_promote_roll_back_while_robots_run(server, observe, operations):
    stop = threading.Event()
    observation = observe()
    robots = [Robot(f"robot {i}", server.address, observation, stop) for i in range(ROBOTS)]
    threads = [threading.Thread(target=robot.run) for robot in robots]

    def episodes_from_now(count):
        """Revisions of the next so many whole episodes of each robot."""
        starts = [len(robot.episodes) + 1 for robot in robots]  # the one under way began before
        until(lambda: all(r.errors or len(r.episodes) >= s + count for r, s in zip(robots, starts, strict=True)), 60)
        return [answers for r, s in zip(robots, starts, strict=True) for answers in r.episodes[s : s + count]]

    with grpc.insecure_channel(server.admin_address) as channel:
        admin = policy_pb2_grpc.PolicyAdminStub(channel)
        for thread in threads:
            thread.start()
        try:
            one = operations.traffic("")[0][0].stable
            assert episodes_from_now(1) == [{one}] * ROBOTS
            two = list(admin.LoadRevision(pb.LoadRevisionRequest(checkpoint="two"), timeout=60))[-1].spec.revision
            assert episodes_from_now(1) == [{one}] * ROBOTS
            canary = pb.Traffic(stable=one, canary=two, canary_fraction=0.5)
            admin.SetTraffic(pb.SetTrafficRequest(traffic=canary, guardrails=pb.Guardrails()), timeout=20)
            mixed = episodes_from_now(6)
            assert {one} in mixed and {two} in mixed
            assert all(len(answers) == 1 for answers in mixed)
            admin.SetTraffic(pb.SetTrafficRequest(traffic=pb.Traffic(stable=two)), timeout=20)
            assert episodes_from_now(1) == [{two}] * ROBOTS
            assert admin.Rollback(pb.RollbackRequest(), timeout=20).stable == one
            assert episodes_from_now(1) == [{one}] * ROBOTS
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
    assert [robot.errors for robot in robots] == [[]] * ROBOTS
    assert all(len(answers) == 1 for robot in robots for answers in robot.episodes)
    views = {view.served.revision: view for view in operations.revisions("")}
    assert sum(view.stats.deadline_misses + view.stats.bad_answers for view in views.values()) == 0
    assert [view.sessions for view in views.values()] == [0, 0]
