"""Instructions -> token ids, with a vocabulary that lives in the checkpoint and needs no download."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN = "[PAD]", "[UNK]"


def build_vocabulary(instructions: Iterable[str]) -> tuple[str, ...]:
    """Words of the instructions, sorted, after the padding and unknown tokens; index = token id."""
    words = {word for text in instructions for word in _pieces(text)}
    if not words:
        raise ValueError("cannot build a vocabulary: no instruction holds a word")
    return (PAD, UNKNOWN, *sorted(words))


def _pieces(text: str) -> list[str]:
    lowered = normalizers.BertNormalizer().normalize_str(text)
    return [piece for piece, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(lowered)]


class InstructionTokenizer:
    """Word-level tokenizer with a fixed number of tokens an instruction.

    Args:
        vocabulary: words, index = token id; must start with the padding and unknown tokens.
        length: tokens an instruction; longer ones are cut, shorter ones padded.

    Raises:
        ValueError: a vocabulary that does not start as it must, or repeats a word.
    """

    def __init__(self, vocabulary: Sequence[str], length: int) -> None:
        if tuple(vocabulary[:2]) != (PAD, UNKNOWN) or len(set(vocabulary)) != len(vocabulary):
            raise ValueError(f"a vocabulary starts with {PAD}, {UNKNOWN} and repeats no word")
        self.vocabulary = tuple(vocabulary)
        self.length = length
        core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
        core.normalizer = normalizers.BertNormalizer()
        core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=PAD, unk_token=UNKNOWN)
        self._known: dict[str, NDArray[np.int64]] = {}

    def __call__(self, instructions: Sequence[str]) -> NDArray[np.int64]:
        """Token ids (B, length) of B instructions."""
        for text in set(instructions) - self._known.keys():
            if len(self._known) > 4096:  # a server may meet endlessly many texts
                self._known.clear()
            self._known[text] = self._encode(text)
        return np.stack([self._known[text] if text in self._known else self._encode(text) for text in instructions])

    def _encode(self, text: str) -> NDArray[np.int64]:
        encoded = self.tokenizer(text, padding="max_length", truncation=True, max_length=self.length)
        return np.asarray(encoded["input_ids"], dtype=np.int64)
