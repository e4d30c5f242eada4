"""How chunks fill an episode: tasks count theirs in chunks of four steps, a contract's may be longer."""

from typing import Final

TASK_HORIZON: Final = 4
"""Steps of the chunks that `Task.max_chunks` counts; a script does one thing in so many, and not in fewer."""
MAX_HORIZON: Final = 50
"""Steps of the longest chunk."""
REST_STEPS: Final = 2
"""A chunk is followed by a rest as long as this many steps; so are the parts of a long one."""


def parts_of(horizon: int) -> list[int]:
    """Steps of each part of a chunk: a script looks again before each, and rests after all but the last."""
    count = max((horizon + REST_STEPS) // (TASK_HORIZON + REST_STEPS), 1)
    first = [TASK_HORIZON] * (count - 1)
    return [*first, horizon - (TASK_HORIZON + REST_STEPS) * len(first)]


def episode_chunks(max_chunks: int, horizon: int) -> int:
    """Chunks of an episode that has `max_chunks` of four steps: as many parts, so at least as much time."""
    return -(-max_chunks // len(parts_of(horizon)))
