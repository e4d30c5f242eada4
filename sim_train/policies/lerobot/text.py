"""Instructions -> token ids as LeRobot makes them, with the language model's own tokenizer from a local file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sim_train.policies.lerobot.layout import LeRobotError
from sim_train.policies.lerobot.tokens import PADDING


class Instructions:
    """Token ids of instructions, each ended by a line break and cut or padded to one length.

    Args:
        tokenizer: of the language model.
        length: tokens an instruction.
        vocab: rows of the language model's embedding.
        bos_token: put first, if the tokenizer does not; None: nothing is.
    """

    def __init__(self, tokenizer: Tokenizer, length: int, vocab: int, bos_token: int | None) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.length, self.vocab, self.bos_token = length, vocab, bos_token

    def __call__(self, instructions: Sequence[str]) -> NDArray[np.int64]:
        """Ids (B, length) of B instructions; `PADDING` behind the shorter ones.

        Raises:
            ValueError: a token that the language model does not have.
        """
        return np.stack([self._encode(text) for text in instructions])

    def _encode(self, text: str) -> NDArray[np.int64]:
        ids = self.tokenizer.encode(text if text.endswith("\n") else f"{text}\n").ids
        if self.bos_token is not None and ids[:1] != [self.bos_token]:
            ids = [self.bos_token, *ids]
        ids = ids[: self.length]
        if ids and max(ids) >= self.vocab:
            raise ValueError(
                f"the tokenizer makes token {max(ids)} of {text!r}, the language model has {self.vocab}: "
                "it is another model's tokenizer"
            )
        return np.asarray(ids + [PADDING] * (self.length - len(ids)), dtype=np.int64)


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json, or of a directory that has one; raises LeRobotError."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise LeRobotError(
            f"{file} does not exist; get tokenizer.json of the language model (google/paligemma-3b-pt-224 for pi0, "
            "HuggingFaceTB/SmolVLM2-500M-Video-Instruct for SmolVLA) and name it or its directory (tokenizer)"
        )
    return parse_tokenizer(file.read_text(encoding="utf-8"))


def parse_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that a tokenizer.json describes; raises LeRobotError."""
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the tokenizers library raises nothing more precise
        raise LeRobotError(f"tokenizer.json cannot be read: {error}") from error
