"""The machine that settings are meant for, and whether this is one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sim_train.typed import ConfigError

_GIB = 2.0**30


@dataclass(frozen=True)
class HardwareConfig:
    """What a run needs, and what is known of the time it takes there."""

    gpus: int = 0
    """GPUs that the settings need."""
    gpu: str = ""
    """What kind of GPU; for people."""
    gpu_memory_gib: float = 0.0
    """Memory of each, GiB; 0: any."""
    tflops: float = 0.0
    """Dense bfloat16 peak of each, 1e12 operations a second; 0: unknown."""
    utilisation: float = 0.4
    """Share of the peak that an estimate counts on."""
    minutes_per_update: float = 0.0
    """Measured wall time of an update on all GPUs, rollouts included; 0: not measured."""
    check: bool = True
    """Refuse to start without the GPUs."""

    def checks(self) -> list[tuple[bool, str]]:
        """Whether each setting makes sense, and what to say if not."""
        return [
            (self.gpus >= 0, "hardware.gpus must not be negative"),
            (self.gpu_memory_gib >= 0, "hardware.gpu_memory_gib must not be negative"),
            (self.tflops >= 0, "hardware.tflops must not be negative"),
            (0 < self.utilisation <= 1, "hardware.utilisation must lie in 0..1, above 0"),
            (self.minutes_per_update >= 0, "hardware.minutes_per_update must not be negative"),
        ]


def check_hardware(config: HardwareConfig, found: list[float] | None = None) -> None:
    """Raise ConfigError if this machine lacks GPUs that the settings need, unless they say not to check.

    Args:
        config: what is needed.
        found: memory of each GPU of this machine, bytes; None: look.
    """
    if not config.gpus or not config.check:
        return
    if found is None:
        found = [float(torch.cuda.get_device_properties(i).total_memory) for i in range(torch.cuda.device_count())]
    wanted_bytes = config.gpu_memory_gib * _GIB
    fit = [memory for memory in found if memory >= 0.95 * wanted_bytes]  # a part is the driver's
    if len(fit) >= config.gpus:
        return
    each = f" with {config.gpu_memory_gib:.0f} GiB" if config.gpu_memory_gib else ""
    have = ", ".join(f"{memory / _GIB:.0f} GiB" for memory in found) or "none"
    raise ConfigError(
        f"these settings need {config.gpus} GPUs{each}; this machine has {len(fit)} of them (all: {have}). Choose a "
        "smaller preset, such as preset=laptop, or start all the same with hardware.check=false"
    )
