"""A network may not be much larger than the weights that it gets.

A manifest that describes a huge network beside small weights would only be refused once the network is built, when the
memory of the server is gone. Torch tells of every parameter before its memory is touched, so it is stopped there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from policy_server.revisions.errors import CheckpointRefused
from policy_server.revisions.store import megabytes

_TIMES = 4
"""Weights may be stored at half the precision that they are built with, and tied ones are counted twice."""
_SPARE_BYTES = 64 * 1024 * 1024
"""For parts that serve training alone and are in no checkpoint."""


@contextmanager
def parameter_budget(weights_bytes: int) -> Iterator[None]:
    """Inside, this thread may build networks of about `weights_bytes`; CheckpointRefused for larger ones."""
    limit, used, builder = _TIMES * weights_bytes + _SPARE_BYTES, 0, threading.get_ident()

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal used
        if parameter is None or threading.get_ident() != builder:
            return
        used += parameter.numel() * parameter.element_size()
        if used > limit:
            raise CheckpointRefused(
                f"the network that its manifest describes takes more than {megabytes(limit)}, for weights of "
                f"{megabytes(weights_bytes)}; contract, sizes and weights do not belong together: save the policy again"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
