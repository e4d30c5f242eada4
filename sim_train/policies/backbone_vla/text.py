"""Instructions -> token ids, for a language model that brings its own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sim_train.policies.backbone_vla.backbones import BackboneError

HIDDEN = -1
"""Stands where there is no word; no id of any tokenizer."""


class PretrainedTokenizer:
    """A language model's own tokenizer with a fixed number of places.

    Args:
        text: content of its tokenizer.json.
        length: places an instruction.

    Raises:
        BackboneError: the text describes no tokenizer.
    """

    def __init__(self, text: str, length: int) -> None:
        try:
            self.tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the tokenizers library raises nothing more precise
            raise BackboneError(f"tokenizer.json cannot be read: {error}") from error
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.length = length

    @classmethod
    def load(cls, directory: Path, length: int) -> PretrainedTokenizer:
        """The tokenizer of a model's directory; BackboneError if it has none."""
        file = directory / "tokenizer.json"
        if not file.is_file():
            raise BackboneError(f"{directory} has no tokenizer.json, which its language model needs")
        return cls(file.read_text(encoding="utf-8"), length)

    def __call__(self, instructions: Sequence[str]) -> NDArray[np.int64]:
        """Token ids (B, length) of B instructions, `HIDDEN` behind them.

        Raises:
            ValueError: an instruction has more tokens than there are places.
        """
        ids = np.full((len(instructions), self.length), HIDDEN, dtype=np.int64)
        for row, text in zip(ids, instructions, strict=True):
            known = self.tokenizer.encode(text).ids
            if len(known) > self.length:
                raise ValueError(
                    f"instruction {text!r} has {len(known)} tokens, at most {self.length}; shorten it or raise "
                    "text_tokens"
                )
            row[: len(known)] = known
        return ids
