"""Instructions -> token ids."""

import pytest

from sim_train.policies.text import PAD, UNKNOWN, InstructionTokenizer, build_vocabulary

TEXTS = ["Pick up the red cube.", "pick up the blue cube"]


def test_vocabulary_does_not_depend_on_order_or_case():
    vocabulary = build_vocabulary(TEXTS)
    assert vocabulary == build_vocabulary(reversed(TEXTS))
    assert vocabulary == (PAD, UNKNOWN, ".", "blue", "cube", "pick", "red", "the", "up")


def test_words_become_ids_padded_and_cut():
    tokenizer = InstructionTokenizer(build_vocabulary(TEXTS), 6)
    ids = tokenizer(["PICK the red", "pick up the red cube now please"])
    words = [tokenizer.vocabulary[i] for i in ids[0]]
    assert words == ["pick", "the", "red", PAD, PAD, PAD]
    assert [tokenizer.vocabulary[i] for i in ids[1]] == ["pick", "up", "the", "red", "cube", UNKNOWN]


def test_an_empty_instruction_is_all_padding():
    assert (InstructionTokenizer(build_vocabulary(TEXTS), 4)([""]) == 0).all()


def test_remembering_many_texts_changes_nothing():
    tokenizer = InstructionTokenizer(build_vocabulary(TEXTS), 4)
    first = tokenizer(["red cube"])
    for i in range(5000):
        tokenizer([f"text {i}"])
    assert (tokenizer(["red cube"]) == first).all()


@pytest.mark.parametrize("vocabulary", [["red"], [UNKNOWN, PAD, "red"], [PAD, UNKNOWN, "red", "red"]])
def test_a_vocabulary_that_is_none(vocabulary):
    with pytest.raises(ValueError, match="vocabulary"):
        InstructionTokenizer(vocabulary, 4)


def test_no_words_at_all():
    with pytest.raises(ValueError, match="no instruction"):
        build_vocabulary([" "])
