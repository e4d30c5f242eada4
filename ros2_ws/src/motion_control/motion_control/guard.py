"""The guard behind the joint limiter: workspace, table, speed of the tool, and the arm's own links.

The rule is that the arm can always stop: a tick's velocities are let through unchanged if, braking from the next tick
on, the arm stays clear of everything. If it does not, the guard takes the velocities between braking and the wanted
ones that do, found by interpolation and checked again; if those do not hold either, the arm brakes, on the way that
was found clear a tick ago. So the arm slows down before it stops. A velocity between two allowed ones breaks no limit
of a joint, because each limit allows an interval.

Of the way on which the arm brakes the tool is looked at when it begins, halfway and when it ends, with half of what it
bulges between them added. Links are compared by a bound: a radian of a joint changes no distance by more than its
lever. As long as the arm has turned less since the last comparison than the clearance found then, no new one is
needed; that is most of the time.

An arm that starts outside (or too near to itself) may move, slowly where links are near, in directions that make it
no worse.
"""

from math import sqrt
from typing import NamedTuple

from motion_control.arm_limiter import ArmLimiter, Floats
from motion_control.clearance import SELF_LEVERS_M, self_clearance, tool_pose
from motion_control.safety import BODY_ABOVE_TABLE_M, FINGER_GIVE_M, SELF_DISTANCE_M, SafetyLimits

SPEED_SHARE = 0.98
"""Of the speed limit that motion before smoothing may use: averaging positions over four ticks cuts corners."""
INTERPOLATION_SHARE = 0.95
ROUNDING_M = 1e-9
CREEP_M = 0.002
"""How far links that are too near may move, braking included, while they move apart."""
NO_TABLE_Z_M = -10.0
_FACES = ("workspace x", "workspace y", "workspace z", "table")


class Guard:
    """For one arm. `steer` once a tick; `forget` when the arm was set to another pose."""

    def __init__(self, safety: SafetyLimits, limiter: ArmLimiter) -> None:
        self._limiter = limiter
        self._dt_s = limiter.dt_s
        self._step_m = safety.tcp_speed_m_s * SPEED_SHARE * limiter.dt_s
        self._lower: Floats = safety.workspace.lower.tolist()
        self._upper: Floats = safety.workspace.upper.tolist()
        self._table_z = NO_TABLE_Z_M if safety.table_z_m is None else safety.table_z_m
        self.reason = ""
        """What held the arm back in the last tick; empty if nothing did."""
        self.forget()

    def forget(self) -> None:
        """The arm stands at another pose now."""
        self._now: _Tool | None = None
        self._rest: tuple[Floats, _Tool] | None = None
        self._compared: tuple[Floats, float] = ([0.0] * 7, float("-inf"))

    def steer(self, position: Floats, velocity: Floats, wanted: Floats) -> Floats:
        """Velocities (7,) for this tick: `wanted` (7,), or slower ones if those would lead too far.

        `wanted` and `velocity`, that of the tick before, are as `ArmLimiter` gives them.
        """
        if not any(wanted[:6]):
            self.reason = ""
            return wanted
        now = self._now or self._tool(position)
        rest = self._rest or (position, now)  # where braking ends that began with the last tick
        path = self._path(now, position, wanted)
        if self._is_clear(position, now, path):
            return self._go(path, wanted)
        braking = self._limiter.brake(velocity)
        share = self._share(position, now, path, braking, rest)
        if share > 0.0:
            slower = [b + share * (w - b) for b, w in zip(braking, wanted, strict=True)]
            path, reason = self._path(now, position, slower), self.reason
            if self._is_clear(position, now, path):
                self.reason = reason
                return self._go(path, slower)
            self.reason = reason
        self._now, self._rest = None, rest
        return braking

    def braked(self) -> None:
        """The arm brakes by itself in this tick; it comes to rest where that was foreseen."""
        self.reason = ""
        self._now = None

    def _go(self, path: "_Path", velocity: Floats) -> Floats:
        self._now, self._rest = path.after, (path.stop, path.rest)
        return velocity

    def _path(self, now: "_Tool", position: Floats, velocity: Floats) -> "_Path":
        """A tick and braking after it, which is not worked out if the tick alone is too fast."""
        following = self._limiter.advance(position, [v * self._dt_s for v in velocity])
        after = self._tool(following)
        if _distance(now, after) > self._step_m:
            return _Path(following, following, after, after, after, -1)
        middle, stop, ticks = self._limiter.braking_path(following, velocity)
        return _Path(following, stop, after, self._tool(middle), self._tool(stop), ticks)

    def _is_clear(self, q: Floats, now: "_Tool", path: "_Path") -> bool:
        """Whether the tick and braking after it keep everything; if not, `reason` says what it is."""
        self.reason = ""
        if self._too_fast(path):
            self.reason = "tool speed"
        elif (face := self._beyond(now, path)) is not None:
            self.reason = _FACES[face // 2]
        elif not self._links_are_clear(q, path):
            self.reason = "own links"
        return not self.reason

    def _too_fast(self, path: "_Path") -> bool:
        """Also while braking: joints that undo each other's motion of the tool may stop at different times.

        A speed that falls evenly to zero is on average three quarters of itself in the first half of the time, and a
        quarter in the second one.
        """
        half = path.ticks * self._step_m + ROUNDING_M
        return (
            path.ticks < 0
            or _distance(path.after, path.middle) > 0.8 * half
            or _distance(path.middle, path.rest) > 0.5 * half
        )

    def _beyond(self, now: "_Tool", path: "_Path") -> int | None:
        """The first face that the tool would cross, or cross further than it has."""
        faces = zip(now.depths, path.after.depths, path.middle.depths, path.rest.depths, strict=True)
        for face, (here, after, middle, rest) in enumerate(faces):
            bulge = 0.5 * middle - 0.25 * (after + rest)
            deepest = (after if after > middle and after > rest else middle if middle > rest else rest) + (
                bulge if bulge > 0.0 else 0.0
            )
            if deepest > 0.0 and deepest > here:
                return face
        return None

    def _share(self, q: Floats, now: "_Tool", path: "_Path", braking: Floats, rest: "tuple[Floats, _Tool]") -> float:
        """Estimate of how far one may go from `braking` (0), which ends at `rest`, to what was wanted (1)."""
        stop, at_rest = rest
        share = 1.0
        if self.reason == "tool speed":
            slowest = self._tool(self._limiter.advance(q, [v * self._dt_s for v in braking]))
            share = _share_within(_step(now, slowest), _step(now, path.after), self._step_m)
        elif self.reason == "own links":
            at, clearance = self._compared
            least, wanted = _turned(at, q, stop), _turned(at, path.following, path.stop)
            share = max(clearance - least, 0.0) / max(wanted - least, 1e-12)
        else:
            for here, least, wanted in zip(now.depths, at_rest.depths, path.rest.depths, strict=True):
                if wanted > max(here, 0.0):
                    share = min(share, max(max(here, 0.0) - least, 0.0) / max(wanted - least, 1e-12))
        return min(share, 1.0) * INTERPOLATION_SHARE

    def _tool(self, q: Floats) -> "_Tool":
        """Where the tool is, and how far beyond each face."""
        x, y, z, fingers_z, body_z = tool_pose(q)
        lowest = body_z - BODY_ABOVE_TABLE_M
        if lowest > fingers_z + FINGER_GIVE_M:
            lowest = fingers_z + FINGER_GIVE_M
        (x0, y0, z0), (x1, y1, z1) = self._lower, self._upper
        return _Tool(x, y, z, (x0 - x, x - x1, y0 - y, y - y1, z0 - z, z - z1, self._table_z - lowest))

    def _links_are_clear(self, q: Floats, path: "_Path") -> bool:
        """Whether no two links come too near. Compares them at most once, but for an arm that is too near already."""
        at, clearance = self._compared
        if _turned(at, path.following, path.stop) <= clearance:
            return True
        middle = [(a + b) * 0.5 for a, b in zip(path.following, path.stop, strict=False)]
        clearance = self_clearance(middle) - SELF_DISTANCE_M
        self._compared = (middle, clearance)
        turned = _turned(middle, path.following, path.stop)
        if turned <= clearance:
            return True
        if turned > CREEP_M:
            return False
        begin = self_clearance(q)
        return begin < SELF_DISTANCE_M + CREEP_M and self_clearance(path.stop) > begin


class _Tool(NamedTuple):
    """The tool centre point, and how far beyond each face it is, m; below zero inside."""

    x: float
    y: float
    z: float
    depths: tuple[float, ...]


class _Path(NamedTuple):
    """A tick and braking after it: joints (6,) or (7,) after it and at rest; the tool then and halfway between."""

    following: Floats
    stop: Floats
    after: _Tool
    middle: _Tool
    rest: _Tool
    ticks: int
    """From `after` to `middle`; -1 if the tick is too fast to look further."""


def _turned(at: Floats, following: Floats, stop: Floats) -> float:
    """Bound on how much nearer two links can be anywhere between two poses than they are at the pose `at`, m."""
    bound = 0.0
    for i, lever in enumerate(SELF_LEVERS_M, 1):
        bound += lever * max(abs(following[i] - at[i]), abs(stop[i] - at[i]))
    return bound


def _distance(a: _Tool, b: _Tool) -> float:
    return sqrt((a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.z - b.z) ** 2)


def _step(before: _Tool, after: _Tool) -> tuple[float, float, float]:
    return after.x - before.x, after.y - before.y, after.z - before.z


def _share_within(slow: tuple[float, ...], fast: tuple[float, ...], length: float) -> float:
    """Largest s in [0, 1] for which slow + s (fast - slow) is no longer than `length`; 0 if `slow` already is."""
    change = [f - s for f, s in zip(fast, slow, strict=True)]
    a = sum(c * c for c in change)
    b = sum(c * s for c, s in zip(change, slow, strict=True))
    c = sum(s * s for s in slow) - length * length
    if c >= 0.0 or a == 0.0:
        return 0.0
    return min(float((-b + (b * b - a * c) ** 0.5) / a), 1.0)
