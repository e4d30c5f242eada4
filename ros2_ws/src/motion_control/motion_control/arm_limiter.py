"""The law of `Limiter` for one arm, in plain floats: the same bits, several times faster than arrays of seven.

Velocities come out instead of positions, so that what stands behind (the guard) can still take a slower one: between
any two velocities that this class gives for one state lies none that breaks a limit.
"""

from math import copysign, sqrt

from motion_control.limits import MotionLimits

Floats = list[float]


class ArmLimiter:
    """Velocities of the next tick, (7,), rad/s and m/s, for one arm's commanded position and velocity (7,)."""

    def __init__(self, limits: MotionLimits, dt_s: float) -> None:
        self.dt_s = dt_s
        self.lower: Floats = limits.lower.tolist()
        self.upper: Floats = limits.upper.tolist()
        self.max_step: Floats = (limits.acceleration * dt_s).tolist()
        self._arm_steps = self.max_step[:6]
        self.top_speed: Floats = limits.velocity.tolist()
        per_distance = (1.0 / (limits.acceleration * dt_s * dt_s)).tolist()
        self._rules = list(zip(self.lower, self.upper, self.top_speed, self.max_step, per_distance, strict=True))

    def toward(self, position: Floats, velocity: Floats, target: Floats) -> Floats:
        """As fast toward `target` (7,), clamped to the position limits, as the arm can still brake. See `Limiter`."""
        wanted = []
        for q, v, goal, rule in zip(position, velocity, target, self._rules, strict=True):
            lower, upper, top, step, per_distance = rule
            distance = (lower if goal < lower else upper if goal > upper else goal) - q
            s = abs(distance) * per_distance
            n = float(int((sqrt(s * 8.0 + 1.0) - 1.0) * 0.5))
            speed = (n * 0.5 + s / (n + 1.0)) * step
            if speed > top:
                speed = top
            if distance < 0.0:
                speed = -speed
            least, most = v - step, v + step
            wanted.append(least if speed < least else most if speed > most else speed)
        return wanted

    def at_velocity(self, position: Floats, velocity: Floats, wanted: Floats) -> Floats:
        """As near to the velocity `wanted` (7,) as the limits allow; slower where a position limit is near."""
        out = []
        for q, v, w, rule in zip(position, velocity, wanted, self._rules, strict=True):
            lower, upper, top, step, per_distance = rule
            room = max(upper - q, 0.0) if w > 0.0 else max(q - lower, 0.0)
            s = room * per_distance
            n = float(int((sqrt(s * 8.0 + 1.0) - 1.0) * 0.5))
            speed = copysign(min(abs(w), (n * 0.5 + s / (n + 1.0)) * step, top), w)
            out.append(min(max(speed, v - step), v + step))
        return out

    def brake(self, velocity: Floats) -> Floats:
        """One tick of braking every joint as hard as allowed."""
        return [copysign(max(abs(v) - step, 0.0), v) for v, step in zip(velocity, self.max_step, strict=True)]

    def braking_path(self, position: Floats, velocity: Floats) -> tuple[Floats, Floats, int]:
        """Where `brake` brings the arm from `position` with `velocity`: halfway in time, and at rest; and that half.

        Joint angles (6,), inside the position limits if `velocity` is one of this class; half the ticks until the
        joints that move the tool, 1 to 5, stand.
        """
        ticks = [int(abs(v) / step) for v, step in zip(velocity, self._arm_steps, strict=False)]
        half = (max(ticks[:5]) + 1) // 2
        middle, rest = [], []
        for q, v, step, n in zip(position, velocity, self._arm_steps, ticks, strict=False):
            if n == 0:
                middle.append(q)
                rest.append(q)
                continue
            k = n if n < half else half
            slope = step * 0.5 if v > 0.0 else -step * 0.5
            middle.append(q + self.dt_s * k * (v - slope * (k + 1)))
            rest.append(q + self.dt_s * n * (v - slope * (n + 1)))
        return middle, rest, half

    def advance(self, position: Floats, change: Floats) -> Floats:
        """`position` + `change`, kept inside the position limits; from outside them only inwards."""
        out = []
        for q, d, lower, upper in zip(position, change, self.lower, self.upper, strict=True):
            new = q + d
            if new > upper:
                new = upper if q < upper else q if new > q else new
            elif new < lower:
                new = lower if q > lower else q if new < q else new
            out.append(new)
        return out
