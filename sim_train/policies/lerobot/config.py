"""Sizes of pi0 and SmolVLA networks.

Sources: `policies/pi0` and `policies/smolvla` of huggingface/lerobot, pi0 (arXiv 2410.24164), SmolVLA
(arXiv 2506.01844), PaliGemma (arXiv 2407.07726) and the published SmolVLM2-500M.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class VisionSizes:
    """A SigLIP tower."""

    width: int
    mlp: int
    """Width of the feed-forward layers."""
    layers: int
    heads: int
    image_size: int
    """Pixels along a side of what it sees; a multiple of `patch`."""
    patch: int

    def __post_init__(self) -> None:
        if self.width % self.heads or self.image_size % self.patch:
            raise ValueError(
                f"vision: width {self.width} must be a multiple of heads {self.heads}, and image_size "
                f"{self.image_size} of patch {self.patch}"
            )

    @property
    def patches(self) -> int:
        """Patches of one image."""
        return (self.image_size // self.patch) ** 2


@dataclass(frozen=True)
class DecoderSizes:
    """A language model: Gemma for pi0, Llama for SmolVLA. The action expert has its layers and heads, too."""

    width: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    """Heads of keys and values; divides `heads`."""
    head_width: int
    vocab: int

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"language: heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        if self.head_width % 2:
            raise ValueError(f"language: head_width must be even; got {self.head_width}")


@dataclass(frozen=True)
class LeRobotConfig:
    """What both networks have. Horizon and dimensions of the robot are not here: they belong to the contract."""

    vision: VisionSizes
    language: DecoderSizes
    expert_width: int
    """Width of the action expert; even."""
    expert_mlp: int
    chunk: int = 50
    """Steps that the network plans; the contract's horizon is its beginning."""
    max_state_dim: int = 32
    """Numbers of proprioception; what the robot does not have is 0."""
    max_action_dim: int = 32
    """Numbers of an action; what the robot does not have is neither learned nor played."""
    steps: int = 10
    """K, steps from noise to actions."""
    min_period: float = 4e-3
    """Shortest wave that tells the time of the flow."""
    max_period: float = 4.0
    text_tokens: int = 48
    """Places for an instruction; longer ones are cut."""
    bos_token: int | None = None
    """Put in front of an instruction, if the tokenizer does not; None: nothing is."""
    cameras: tuple[tuple[str, str], ...] = ()
    """Pairs of LeRobot's image feature and the contract's camera, in the order the network sees them. Empty: every
    camera of the contract, as `observation.images.` and its name."""

    def __post_init__(self) -> None:
        if self.expert_width < 4 or self.expert_width % 2:
            raise ValueError(f"expert_width must be even and at least 4; got {self.expert_width}")
        if min(self.chunk, self.max_state_dim, self.max_action_dim, self.steps, self.text_tokens) < 1:
            raise ValueError("chunk, max_state_dim, max_action_dim, steps and text_tokens must be at least 1")
        if not 0 < self.min_period < self.max_period:
            raise ValueError(f"0 < min_period < max_period must hold; got {self.min_period} and {self.max_period}")
        # pairs come back from JSON as lists
        object.__setattr__(self, "cameras", tuple((feature, camera) for feature, camera in self.cameras))


@dataclass(frozen=True)
class Pi0Config(LeRobotConfig):
    """PaliGemma (SigLIP and Gemma) with a Gemma expert; proprioception is the expert's first token."""

    bos_token: int | None = 2

    @classmethod
    def pi0(cls) -> Pi0Config:
        """The published model, LeRobot's `gemma_2b` with `gemma_300m`: some 3.2 billion parameters."""
        return cls(
            vision=VisionSizes(width=1152, mlp=4304, layers=27, heads=16, image_size=224, patch=14),
            language=DecoderSizes(width=2048, mlp=16384, layers=18, heads=8, kv_heads=1, head_width=256, vocab=257152),
            expert_width=1024,
            expert_mlp=4096,
        )

    @classmethod
    def miniature(cls) -> Pi0Config:
        """The same network, small enough for tests: some 50,000 parameters, images of 28 x 28."""
        return cls(
            vision=VisionSizes(width=24, mlp=40, layers=2, heads=2, image_size=28, patch=14),
            language=DecoderSizes(width=32, mlp=48, layers=3, heads=4, kv_heads=1, head_width=16, vocab=64),
            expert_width=20,
            expert_mlp=28,
            chunk=6,
            max_state_dim=10,
            max_action_dim=9,
            steps=3,
            text_tokens=12,
        )


@dataclass(frozen=True)
class SmolVlaConfig(LeRobotConfig):
    """SmolVLM2's lower half with an expert that looks at the prefix; proprioception is the prefix's last token."""

    scale_factor: int = 4
    """Patches along a side that become one visual token."""
    self_attention_every: int = 2
    """Layers 0, n, 2 n .. of the expert attend to prefix and actions, the others to the prefix alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        side = math.isqrt(self.vision.patches)
        if self.scale_factor < 1 or side % self.scale_factor:
            raise ValueError(
                f"an image has {side} patches along a side, no multiple of scale_factor {self.scale_factor}"
            )
        if self.self_attention_every < 1:
            raise ValueError(f"self_attention_every must be at least 1; got {self.self_attention_every}")

    @classmethod
    def smolvla(cls) -> SmolVlaConfig:
        """The published model: 16 layers of SmolVLM2-500M, an expert of 0.75 times their width."""
        return cls(
            vision=VisionSizes(width=768, mlp=3072, layers=12, heads=12, image_size=512, patch=16),
            language=DecoderSizes(width=960, mlp=2560, layers=16, heads=15, kv_heads=5, head_width=64, vocab=49280),
            expert_width=720,
            expert_mlp=2048,
        )

    @classmethod
    def miniature(cls) -> SmolVlaConfig:
        """The same network, small enough for tests: some 50,000 parameters, images of 32 x 32."""
        return cls(
            vision=VisionSizes(width=24, mlp=40, layers=2, heads=2, image_size=32, patch=8),
            language=DecoderSizes(width=32, mlp=48, layers=4, heads=4, kv_heads=2, head_width=8, vocab=64),
            expert_width=24,
            expert_mlp=28,
            chunk=6,
            max_state_dim=10,
            max_action_dim=9,
            steps=3,
            text_tokens=12,
            scale_factor=2,
        )
