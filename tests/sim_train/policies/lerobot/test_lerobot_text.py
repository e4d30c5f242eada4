"""Token ids of instructions."""

import pytest
from made_lerobot import word_tokenizer
from tokenizers.processors import TemplateProcessing

from sim_train.policies.lerobot.layout import LeRobotError
from sim_train.policies.lerobot.text import Instructions, read_tokenizer
from sim_train.policies.lerobot.tokens import PADDING


def test_ends_with_a_line_break_and_is_padded_and_cut():
    tokenizer = word_tokenizer()
    go, left = tokenizer.token_to_id("go"), tokenizer.token_to_id("left\n") or tokenizer.token_to_id("[UNK]")
    ids = Instructions(tokenizer, 4, 64, None)(["go left", "go go go go go go"])
    assert ids.tolist() == [[go, left, PADDING, PADDING], [go, go, go, go]]


@pytest.mark.parametrize("by_tokenizer", [False, True])
def test_begins_with_one_token_of_beginning(by_tokenizer):
    tokenizer = word_tokenizer()
    if by_tokenizer:
        tokenizer.post_processor = TemplateProcessing(
            single="go $A", special_tokens=[("go", tokenizer.token_to_id("go"))]
        )
    bos = tokenizer.token_to_id("go")
    ids = Instructions(tokenizer, 5, 64, bos)(["left right\n"])
    assert ids[0, 0] == bos
    assert ids[0, 1] != bos
    assert (ids[0] != PADDING).sum() == 3


def test_refuses_another_models_tokenizer():
    with pytest.raises(ValueError, match="another model's tokenizer"):
        Instructions(word_tokenizer(), 5, 11, None)(["go left"])


def test_names_a_tokenizer_that_is_missing_or_damaged(tmp_path):
    with pytest.raises(LeRobotError, match=r"tokenizer\.json does not exist"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(LeRobotError, match="cannot be read"):
        read_tokenizer(tmp_path)
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    assert read_tokenizer(tmp_path).to_str() == read_tokenizer(tmp_path / "tokenizer.json").to_str()
