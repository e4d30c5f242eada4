"""The parts of real-time chunking together: plan, client, server, a policy that is told what is committed."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from motion_control.merging import ActionPlan, RtcPrefix, StepBounds, StepChunk
from policy_api.client import PolicyClient
from policy_api.errors import InvalidObservation
from policy_api.schema import Committed

from policy_server.fixed_hub import FixedHub
from policy_server.server import PolicyServer, ServerConfig

RISE = 0.0004


class Rising:
    """Goes on from the last frozen action, a little higher every step; without a prefix it begins at zero."""

    revision = "c" * 64

    def __init__(self, spec):
        self.spec = spec
        self.prefix_steps = spec.horizon - 1

    def act(self, images, state, instructions, temperature=0.0, *, committed):
        actions = np.zeros((len(state), self.spec.horizon, 4), np.float32)
        for row, prefix in zip(actions, committed, strict=True):
            delay = prefix.delay_steps if prefix is not None else 0
            last = prefix.actions[delay - 1] if delay else np.zeros(4, np.float32)
            row[:delay] = prefix.actions[:delay] if delay else 0
            row[delay:] = last + RISE * np.arange(1, self.spec.horizon - delay + 1)[:, None]
        return SimpleNamespace(actions=actions)


@pytest.fixture
def client(spec):
    server = PolicyServer(FixedHub([Rising(spec)]), ServerConfig("127.0.0.1:0"))
    with PolicyClient(server.address, "robot") as made:
        yield made
    server.stop()


def test_the_arm_never_waits_and_never_jumps(client, spec, observe):
    client.open_session()
    assert client.session.prefix_steps == 7
    bounds = StepBounds(
        np.array([field.lower for field in spec.action]),
        np.array([field.upper for field in spec.action]),
        np.full(4, np.inf),
    )
    plan = ActionPlan(bounds, RtcPrefix(), np.zeros(4), epoch=1)
    rng = np.random.default_rng(0)
    executed, discarded = [], 0
    for look in range(1, 40):
        counted_on = 3
        promise = plan.commitment(spec.horizon)
        committed = None
        if len(promise.rows):
            committed = Committed(
                promise.rows.astype(np.float32), min(counted_on, len(promise.rows)), promise.first_step
            )
        observation = replace(observe(step=plan.next_step), committed=committed, stamp_ns=look)
        chunk = client.infer(observation, 10)
        executed += [row for _, row in filter(None, (plan.take() for _ in range(rng.integers(0, 5))))]  # meanwhile
        assert (chunk.frozen_rows, chunk.merge) == ((committed.delay_steps, "rtc_prefix") if committed else (0, ""))
        rows = np.clip(chunk.actions.astype(float), bounds.lower, bounds.upper)
        report = plan.merge(StepChunk(1, chunk.observation_ns, chunk.first_step, rows, chunk.frozen_rows))
        discarded += not report.taken
        assert report.taken == (plan.next_step - chunk.first_step <= chunk.frozen_rows)
    steps = np.diff([row[0] for row in executed])
    assert len(executed) > 40
    assert discarded > 2  # four steps were executed where the policy had counted on three
    np.testing.assert_allclose(steps, RISE, atol=1e-6)
    assert client.statistics.delay_steps(spec.dt_ns, 7, time.monotonic_ns()) >= 1


def test_a_delay_that_leaves_nothing_to_decide_is_refused(client, spec, observe):
    client.open_session()
    prefix = Committed(np.zeros((8, 4), np.float32), 8, 3)
    with pytest.raises(InvalidObservation, match="7 steps"):
        client.infer(replace(observe(), committed=prefix), 10)
