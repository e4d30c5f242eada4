"""Any backbones as a policy: the forward against transformers' own parts, the mask, the slice, the kind."""

import json

import numpy as np
import pytest
import torch
from made_backbones import LLAMA, MINI, SPEC, VIT, made, seen
from toy_env import PHRASES
from transformers import Dinov2Model, LlamaModel

from sim_train.checkpoint import load_policy, save_policy
from sim_train.policies.backbone_vla.backbones import BackboneError, decode
from sim_train.policies.backbone_vla.config import BackboneVlaConfig
from sim_train.policies.backbone_vla.policy import BackboneVla
from sim_train.policies.blueprint import from_blueprint, to_blueprint
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.text import build_vocabulary


def test_the_forward_is_that_of_transformers_own_parts():
    policy = made()
    inputs = policy.inputs(*seen(3))
    dinov2 = Dinov2Model(policy.vision.towers[0].backbone.config).eval()
    dinov2.load_state_dict(policy.vision.towers[0].backbone.state_dict())
    config = policy.language.config
    config._attn_implementation = "eager"
    llama = LlamaModel(config).eval()
    llama.load_state_dict(policy.language.model.state_dict())
    with torch.no_grad():
        pixels = inputs.images["front"].permute(0, 3, 1, 2) / 255
        pixels -= torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        pixels /= torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        patches = dinov2(pixel_values=pixels).last_hidden_state[:, 1:].view(3, 2, 2, 2, 2, 16).mean(dim=(2, 4))
        front = policy.projector(patches.reshape(3, 4, 16))
        words, holders = llama.embed_tokens(inputs.text), policy.placeholders.repeat(3, 1, 1)
        sequence = torch.cat([front, policy.proprio(inputs.state)[:, None], words, holders], dim=1)
        assert (inputs.text != 0).sum() == 6  # two words of four places
        keep = [0, 1, 2, 3, 4, 5, 6, *range(9, 17)]  # without the padding, which takes no place
        short = sequence[:, keep]
        states = llama(inputs_embeds=short, attention_mask=torch.zeros(3, 1, 15, 15)).last_hidden_state[:, -8:]
        expected = states @ policy.language.lm_head.weight[-16:].T
        ours = policy(inputs)
    assert ours.shape == (3, 2, 4, 16)
    assert ours.std() > 0.1
    torch.testing.assert_close(ours.flatten(1, 2), expected, atol=1e-4, rtol=0)


VISION = {
    "dinov2": {},
    "dinov2_with_registers": {},
    "siglip_vision_model": {"intermediate_size": 32},
    "clip_vision_model": {"intermediate_size": 32},
    "vit": {"intermediate_size": 32},
    "resnet": {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "downsample_in_first_stage": False},
}


@pytest.mark.parametrize("name", VISION)
def test_any_vision_backbone_shows_where_things_are(name):
    entry = {"model_type": name, **(VIT if name != "resnet" else {"pixels": 16}), **VISION[name]}
    policy = made(vision=(entry,))
    inputs = policy.inputs(*seen(2))
    with torch.no_grad():
        tokens = policy.vision(inputs.images["front"])
        assert tokens.shape == (2, 4, policy.vision.width)
        moved = inputs.images["front"].clone()
        moved[:, :8, :8] = 255 - moved[:, :8, :8]
        change = (policy.vision(moved) - tokens).abs().amax(-1)
    assert change.min() >= 0 and (change[:, 0] > 1e-4).all()


def test_several_backbones_lie_side_by_side():
    vision = ({"model_type": "dinov2", **VIT}, {"model_type": "siglip_vision_model", **VIT, "intermediate_size": 32})
    policy = made(vision=vision)
    assert policy.vision.width == 32
    assert policy.act(*seen(2)).actions.shape == (2, 2, 4)


SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
GATED = {**SMALL, "intermediate_size": 32, "num_key_value_heads": 1}
LANGUAGE = {
    "llama": GATED,
    "qwen2": GATED,
    "qwen3": {**GATED, "head_dim": 12},
    "mistral": {**GATED, "sliding_window": 2},
    "gemma2": {**GATED, "head_dim": 12, "sliding_window": 2},
    "smollm3": GATED,
    "gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 2, "initializer_range": 0.2},
    "gpt_neox": {**SMALL, "intermediate_size": 32},
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_any_language_model_sees_later_tokens_and_no_hidden_ones(name):
    policy = made(language={"model_type": name, **LANGUAGE[name]})
    sequence, visible = (value.detach() for value in policy.embed(policy.inputs(*seen(2))))
    noise = torch.randn(sequence.shape[-1], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = decode(policy.language, sequence, visible, 8)
        later, hidden = sequence.clone(), sequence.clone()
        later[:, -1] += noise
        assert (decode(policy.language, later, visible, 8)[:, 0] - before[:, 0]).abs().max() > 1e-4
        assert (~visible).any()
        hidden[~visible] = 5 * noise
        torch.testing.assert_close(decode(policy.language, hidden, visible, 8), before, atol=1e-5, rtol=0)


def test_a_model_that_cannot_look_ahead_is_refused():
    with pytest.raises(BackboneError, match="mamba cannot decode in parallel"):
        made(language={"model_type": "mamba", "hidden_size": 24, "num_hidden_layers": 1})


def test_only_the_action_slice_counts():
    policy = made(vocab_padding=3)
    inputs = policy.inputs(*seen(2))
    drawn = {"tokens": torch.randint(16, (2, 2, 4))}
    with torch.no_grad():
        before = policy.log_prob(inputs, drawn, 1.6)
        policy.language.lm_head.weight[-3:] += 9.0
        policy.language.lm_head.weight[:-19] -= 9.0
        after = policy.log_prob(inputs, drawn, 1.6)
        assert torch.equal(before.log_probs, after.log_probs)
        every = policy(inputs).div(1.6).log_softmax(-1)
    torch.testing.assert_close(every.exp().sum(-1), torch.ones(2, 2, 4))
    torch.testing.assert_close(after.log_probs, every.gather(-1, drawn["tokens"][..., None])[..., 0])
    torch.testing.assert_close(after.entropy, -(every.exp() * every).sum(-1))


def test_sampling_follows_its_draws():
    policy = made()
    draws = np.random.default_rng(0).random((3, policy.draw_size), dtype=np.float32)
    one, same = (policy.act(*seen(3), temperature=1.6, draws=draws) for _ in range(2))
    np.testing.assert_array_equal(one.drawn["tokens"], same.drawn["tokens"])
    with torch.no_grad():
        again = policy.log_prob(policy.inputs(*seen(3)), {"tokens": torch.from_numpy(one.drawn["tokens"])}, 1.6)
    np.testing.assert_allclose(again.log_probs.numpy(), one.log_probs, atol=1e-5)


def test_everything_seen_matters():
    policy = made()
    images, state, texts = seen(2)
    with torch.no_grad():
        before = policy(policy.inputs(images, state, texts))
        for changed in (
            ({"front": 255 - images["front"]}, state, texts),
            (images, state + 1, texts),
            (images, state, texts[::-1]),
        ):
            assert (policy(policy.inputs(*changed)) - before).abs().amax() > 1e-3


def test_imitation_teaches_and_reaches_every_part():
    policy = made().train()
    images, state, texts = seen(8)
    inputs = policy.inputs(images, state, texts)
    actions = torch.linspace(-0.04, 0.04, 8)[:, None, None].expand(8, 2, 4)
    weights = torch.full((8, 2, 4), 1 / 64)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss, report = policy.imitation_loss(
            inputs, actions, weights, torch.zeros(8, 3), SftLossConfig(), torch.empty(8, 0)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(report.imitation_loss)
    assert losses[-1] < 0.3 * losses[0]
    without = {name for name, p in policy.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    assert without <= {"vision.towers.0.backbone.embeddings.mask_token"}


def test_a_checkpoint_brings_it_back(tmp_path):
    policy = made()
    policy.normalise_state_by(seen(50)[1])
    save_policy(tmp_path / "policy", policy, {})
    other = load_policy(tmp_path / "policy")
    np.testing.assert_array_equal(other.act(*seen(4)).drawn["tokens"], policy.act(*seen(4)).drawn["tokens"])
    assert json.loads(json.dumps(other.settings)) == json.loads(json.dumps(policy.settings))


@pytest.mark.parametrize("vision", ["dinov2", "resnet"])
def test_learning_and_acting_compute_the_same(vision):
    entry = {"model_type": vision, **(VIT if vision != "resnet" else {"pixels": 16}), **VISION[vision]}
    policy = made(vision=(entry,), language={"model_type": "gpt2", **LANGUAGE["gpt2"]})
    inputs = policy.inputs(*seen(3))
    with torch.no_grad():
        acting = policy(inputs)
        learning = policy.train()(inputs)
    torch.testing.assert_close(learning, acting, atol=1e-6, rtol=0)


def test_a_model_with_a_tied_output_layer_gets_one_of_its_own(tmp_path):
    policy = made(language={"model_type": "gpt2", **LANGUAGE["gpt2"]})
    head, table = policy.language.get_output_embeddings(), policy.language.get_input_embeddings()
    assert torch.equal(head.weight, table.weight) and head.weight is not table.weight
    save_policy(tmp_path / "policy", policy, {})
    other = load_policy(tmp_path / "policy")
    assert other.language.get_output_embeddings().weight is not other.language.get_input_embeddings().weight


def pretrained(directory, seed=7):
    """A vision backbone and a language model with a tokenizer, in transformers' own layout."""
    torch.manual_seed(seed)
    source = BackboneVla(SPEC, MINI, build_vocabulary(PHRASES))
    source.vision.towers[0].backbone.save_pretrained(directory / "vision")
    statistics = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.3]}
    (directory / "vision" / "preprocessor_config.json").write_text(json.dumps(statistics))
    source.language.save_pretrained(directory / "language")
    source.tokenizer.tokenizer.backend_tokenizer.save(str(directory / "language" / "tokenizer.json"))
    config = BackboneVlaConfig(
        vision=({"model_type": "dinov2", "weights": str(directory / "vision")},),
        language={"model_type": "llama", "weights": str(directory / "language"), "max_position_embeddings": 64},
        grid=2,
        text_tokens=4,
        bins=16,
    )
    return source, config


def test_weights_come_from_local_directories_and_travel_in_the_blueprint(tmp_path):
    source, config = pretrained(tmp_path)
    policy = BackboneVla(SPEC, config).eval()
    for name, weight in source.language.state_dict().items():
        assert torch.equal(policy.language.state_dict()[name], weight)
    for name, weight in source.vision.state_dict().items():
        assert torch.equal(policy.vision.state_dict()[name], weight)
    assert policy.vision.towers[0].mean == (0.5, 0.4, 0.3)
    np.testing.assert_array_equal(policy.inputs(*seen(1)).text[0], [*source.tokenizer(PHRASES[:1])[0][:2], -1, -1])
    blueprint = json.loads(json.dumps(to_blueprint(policy)))
    assert str(tmp_path) not in json.dumps(blueprint)
    other = from_blueprint(blueprint).eval()
    other.load_state_dict(policy.state_dict())
    np.testing.assert_array_equal(other.act(*seen(2)).drawn["tokens"], policy.act(*seen(2)).drawn["tokens"])
    with pytest.raises(ValueError, match="has 6 tokens, at most 4"):
        policy.inputs(*seen(1)[:2], ["go left go left go left"])


def test_pickled_missing_and_foreign_weights_are_refused(tmp_path):
    _, config = pretrained(tmp_path)
    vision = tmp_path / "vision"
    with pytest.raises(BackboneError, match="must be a local directory"):
        made(vision=({"model_type": "dinov2", "weights": str(tmp_path / "nowhere")},))
    with pytest.raises(BackboneError, match="does not hold a whole vit"):
        made(vision=({"model_type": "vit", "weights": str(vision), "intermediate_size": 64},))
    (vision / "model.safetensors").rename(vision / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"pytorch_model\.bin is pickled"):
        BackboneVla(SPEC, config)
    (tmp_path / "language" / "tokenizer.json").unlink()
    with pytest.raises(BackboneError, match=r"no tokenizer\.json"):
        BackboneVla(SPEC, config)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vision": ({"model_type": "dinov9"},)}, "knows no model_type 'dinov9'"),
        ({"vision": ({"model_type": "dinov2", **VIT, "hiden_size": 3},)}, "no setting 'hiden_size'"),
        ({"vision": ({"model_type": "dinov2", **VIT, "hidden_size": "wide"},)}, "dinov2: its settings"),
        ({"grid": 8}, "fewer than grid=8"),
        ({"language": {**LLAMA, "vocab_size": 10}}, "has no room"),
        ({"language": {**LLAMA, "vocab_size": 40, "max_position_embeddings": 8}}, "has 8 positions"),
        ({"vision": ()}, "at least one"),
        ({"language": {"hidden_size": 8}}, "needs a model_type"),
        ({"bins": 1}, "bins at least 2"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changes, says):
    with pytest.raises(ValueError, match=says):
        made(**changes)
