"""How large policies are trained; the defaults change nothing about small ones on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters (arXiv 2106.09685) in place of training all weights."""

    rank: int = 0
    """Of the adapters; 0: all weights train."""
    alpha: int = 16
    """What an adapter adds is scaled by alpha / rank."""
    targets: list[str] = field(default_factory=list)
    """Names of the linear layers that get adapters; empty: all in the backbones' layers."""
    whole: list[str] = field(
        default_factory=lambda: ["projector", "proprio", "proprio_projector", "placeholders", "head"]
    )
    """Parts that train in full beside the adapters, because no backbone brings weights for them."""


@dataclass(frozen=True)
class ScaleConfig:
    """What the trainer does so that a policy fits and is fast."""

    device: str = "auto"
    """"cpu", "cuda" or "auto": a GPU if there is one. Rollout workers stay on the CPU."""
    bf16: bool = False
    """The trainer computes in bfloat16 where it is safe; weights, moments and checkpoints stay float32."""
    compile: bool = False
    """Compile the backbones' layers with torch.compile: minutes at the start, less time afterwards. On a CPU the
    smallest policy gains a fifth, which thousands of gradients only just pay back (benchmarks/compiling.py)."""
    checkpointing: bool = False
    """Compute activations a second time in the backward pass instead of keeping them."""
    micro_batch: int = 0
    """Most observations a forward and backward pass; gradients add up exactly. 0: all of a mini-batch's share."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Adapters."""
    fsdp: bool = False
    """Shard weights, gradients and moments over the processes that torchrun has started, one a GPU."""

    def checks(self) -> list[tuple[bool, str]]:
        """What must hold, and what to say where it does not."""
        lora = self.lora
        return [
            (self.device in ("auto", "cpu", "cuda"), f"scale.device must be auto, cpu or cuda; got {self.device!r}"),
            (
                self.device != "cuda" or torch.cuda.is_available(),
                "scale.device=cuda, but torch finds no GPU here; use scale.device=auto or cpu",
            ),
            (self.micro_batch >= 0, "scale.micro_batch must not be negative (0: no limit)"),
            (lora.rank >= 0, "scale.lora.rank must not be negative (0: no adapters)"),
            (lora.rank == 0 or lora.alpha > 0, "scale.lora.alpha must be above 0"),
        ]

    def torch_device(self) -> torch.device:
        """Where the trainer computes; with several processes each has the GPU of its local rank."""
        if self.device == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", torch.cuda.current_device())
