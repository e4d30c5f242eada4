"""Random kills, stops, delays and broken wires of the whole loop with real processes, against one invariant.

A seed decides what happens and when, so that a run that breaks something can be made again.
"""

import signal
import time
from dataclasses import dataclass
from random import Random
from typing import Final

from piper_can import codec
from virtual_lab.can_faults import CanFault, FaultKind

from benchmarks.faults.processes import TryError
from benchmarks.faults.ring import Ring

EVENTS: Final = 3
MAX_GAP_S: Final = 0.8
MAX_STOP_S: Final = 0.6
_FEEDBACK: Final = (codec.ARM_STATUS, *codec.JOINT_FEEDBACK, codec.GRIPPER_FEEDBACK, *codec.MOTOR_SLOW)
_VICTIMS: Final = ("server", "runner", "driver", "lab")
_KINDS: Final = ("kill", "stop", "proxy", "wire", "operator")


@dataclass(frozen=True)
class Event:
    """Something that happens `after_s` after the event before it, and lasts for `lasts_s`."""

    kind: str
    what: str
    after_s: float
    lasts_s: float


def plan(seed: int) -> list[Event]:
    """What happens in the run of a seed."""
    random = Random(seed)
    events = []
    for _ in range(EVENTS):
        kind = random.choice(_KINDS)
        choices = {
            "kill": _VICTIMS[:3],
            "stop": _VICTIMS,
            "proxy": ("blackhole", "latency", "reset"),
            "wire": tuple(k.value for k in FaultKind),
            "operator": ("hold", "estop", "policy off"),
        }
        what = random.choice(choices[kind])
        events.append(Event(kind, what, random.random() * MAX_GAP_S, 0.05 + random.random() * MAX_STOP_S))
    return events


@dataclass(frozen=True)
class Outcome:
    """What came of a run: broken setpoints, and why it did not come back, each empty if all went well."""

    seed: int
    events: tuple[Event, ...]
    breaches: tuple[str, ...]
    failure: str

    def told(self, *texts: str) -> list[str]:
        """These texts, if they are not empty, with what they belong to."""
        happened = ", ".join(f"{e.kind} {e.what}" for e in self.events)
        return [f"seed {self.seed} ({happened}): {text}" for text in texts if text]


def run_seed(ring: Ring, seed: int) -> Outcome:
    """One run on a ring that is ready; afterwards the ring must be able to get ready again."""
    events = plan(seed)
    failure = ""
    for event in events:
        time.sleep(event.after_s)
        try:
            _happen(ring, event, Random(seed))
        except TryError as error:  # a service that does not answer belongs to what happens here
            failure = failure if "service" in str(error) or "answer" in str(error) else str(error)
    time.sleep(0.5)
    broken = ring.breaches()
    try:
        ring.ready()
    except TryError as error:
        failure = failure or f"it did not come back: {error}"
    return Outcome(seed, tuple(events), broken, failure)


def _happen(ring: Ring, event: Event, random: Random) -> None:
    if event.kind in ("kill", "stop"):
        child = {"server": ring.server, "runner": ring.runner, "driver": ring.driver, "lab": ring.lab_process}
        victim = child[event.what]
        if not victim.alive:
            return
        if event.kind == "kill":
            victim.kill()
            return
        victim.signal(signal.SIGSTOP)
        time.sleep(event.lasts_s)
        victim.signal(signal.SIGCONT)
    elif event.kind == "proxy":
        if event.what == "reset":
            ring.proxy.reset()
            return
        ring.proxy.set(**({"blackhole": True} if event.what == "blackhole" else {"latency_s": event.lasts_s}))
        time.sleep(event.lasts_s)
        ring.proxy.set()
    elif event.kind == "wire":
        ring.lab.set_can_faults(_wire_fault(FaultKind(event.what), random))
        time.sleep(event.lasts_s)
        ring.lab.set_can_faults()
    elif event.what == "policy off":
        ring.desk.switch("/piper_driver/policy", False, 2.0)
    else:
        ring.desk.trigger(f"/piper_driver/{event.what}", 2.0)


def _wire_fault(kind: FaultKind, random: Random) -> CanFault:
    ids = tuple(random.sample(_FEEDBACK, random.randint(1, 4)))
    if kind is FaultKind.WRONG:
        return CanFault(kind, (codec.JOINT_FEEDBACK[0],), {"Joint1": random.uniform(-6.0, 6.0)})
    if kind is FaultKind.SLOW:
        return CanFault(kind, ids, every=random.randint(2, 50))
    if kind is FaultKind.DELAYED:
        return CanFault(kind, ids, delay_ticks=random.randint(1, 60))
    if kind is FaultKind.INTERMITTENT:
        return CanFault(kind, ids, share=random.uniform(0.1, 0.9))
    return CanFault(kind, ids)
