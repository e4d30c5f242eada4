"""Backbones of transformers: fresh from a configuration, or from local safetensors. Nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

_OURS = ("model_type", "weights", "pixels", "mean", "std")
_ABOUT_FILES = ("transformers_version", "architectures", "_name_or_path", "dtype", "model_type", "auto_map")
_UNUSED = "pooler."  # some checkpoints lack it, and no policy reads it


class BackboneError(ValueError):
    """A backbone that cannot be built or used; the text names it and says what to change."""


def make_config(entry: dict[str, Any]) -> PretrainedConfig:
    """The transformers configuration of an entry of `BackboneVlaConfig`.

    Raises:
        BackboneError: an unknown architecture or setting, or a weights directory that cannot be used.
    """
    name, weights = entry["model_type"], entry.get("weights", "")
    settings = {key: value for key, value in entry.items() if key not in _OURS}
    if name not in CONFIG_MAPPING:
        raise BackboneError(f"transformers knows no model_type {name!r}; see its list of models, for example dinov2")
    try:
        if weights:
            _check_directory(name, Path(weights))
            config = CONFIG_MAPPING[name].from_pretrained(weights, local_files_only=True, **settings)
        else:
            config = AutoConfig.for_model(name, **settings)
    except BackboneError:
        raise
    except Exception as error:  # each architecture checks its settings in its own way
        raise BackboneError(f"{name}: its settings cannot be used: {error}") from error
    known = CONFIG_MAPPING[name]()
    if unknown := sorted(key for key in settings if not hasattr(known, key)):
        raise BackboneError(f"{name} has no setting {unknown[0]!r}; a misspelt one would silently change nothing")
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):  # the trainer must compute what the rollout computed
            setattr(config, key, 0.0)
    return config


def make_vision(entry: dict[str, Any], config: PretrainedConfig) -> PreTrainedModel:
    """The vision backbone of an entry, its weights in float32; raises BackboneError."""
    return _make(entry, config, AutoModel)


def make_language(entry: dict[str, Any], config: PretrainedConfig) -> PreTrainedModel:
    """The language model of an entry with an output layer of its own, its weights in float32; raises BackboneError."""
    model = _make(entry, config, AutoModelForCausalLM)
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight is table.weight:  # checkpoints and shards want each weight in one place
        head.weight = nn.Parameter(table.weight.detach().clone())
        model.config.tie_word_embeddings = False
    check_reads_both_ways(model)
    return model


def settings_of(config: PretrainedConfig) -> dict[str, Any]:
    """All settings of an architecture as plain JSON: what `make_config` needs to build it again without files."""
    return {name: value for name, value in config.to_dict().items() if name not in _ABOUT_FILES}


def embedding_table(model: PreTrainedModel) -> torch.Tensor:
    """Weights (vocabulary, width) of a language model's embedding."""
    return cast(nn.Embedding, model.get_input_embeddings()).weight


@torch.no_grad()
def check_reads_both_ways(model: PreTrainedModel) -> None:
    """Make sure that the model obeys a mask which lets a token see later ones, and hides what it should hide.

    Raises:
        BackboneError: it does not; parallel decoding needs an attention model that takes a mask of four dimensions.
    """
    table = embedding_table(model)
    if table.is_meta:
        return
    name = model.config.model_type
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(1, 4, table.shape[1], generator=generator).to(table)
    late, hidden = plain.clone(), plain.clone()
    late[:, -1] = torch.randn(table.shape[1], generator=generator).to(table)
    hidden[:, 0] = late[:, -1]
    sequence = torch.cat([plain, late, hidden])
    visible = torch.tensor([[False, True, True, True]], device=table.device).expand(3, -1)
    training = model.training
    try:
        logits = decode(model.eval(), sequence, visible, 3)
    except Exception as error:  # whatever a model says to inputs that it does not know
        raise BackboneError(
            f"{name} cannot decode in parallel; use an attention model such as llama: {error}"
        ) from error
    finally:
        model.train(training)
    moved = (logits - logits[:1]).abs().amax(dim=(1, 2)) / logits.abs().max().clamp_min(1e-12)
    if not moved[1] > 1e-6 or (logits[1, 0] == logits[0, 0]).all():
        raise BackboneError(f"{name} keeps its causal mask: no token sees a later one; use a model such as llama")
    if moved[2] > 1e-5:
        raise BackboneError(f"{name} reads tokens that the mask hides; use an attention model such as llama")


def decode(model: PreTrainedModel, sequence: torch.Tensor, visible: torch.Tensor, last: int) -> torch.Tensor:
    """Logits (B, last, vocabulary) of the last places; every token sees every visible one, before and after it.

    Args:
        model: a causal language model with its output layer.
        sequence: (B, N, width) embeddings.
        visible: (B, N) bool; what is hidden takes no place.
        last: places to read.
    """
    lowest = torch.finfo(sequence.dtype).min
    mask = torch.zeros(visible.shape, dtype=sequence.dtype, device=sequence.device)
    # a mask of four dimensions is used as it is, instead of a causal one
    mask = mask.masked_fill(~visible, lowest)[:, None, None].expand(-1, 1, sequence.shape[1], -1)
    places = (visible.long().cumsum(1) - 1).clamp_min(0)
    output = model(
        inputs_embeds=sequence, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=last
    )
    logits: torch.Tensor = output.logits
    return logits


def _make(entry: dict[str, Any], config: PretrainedConfig, auto: Any) -> PreTrainedModel:  # noqa: ANN401 - a factory
    name, weights = entry["model_type"], entry.get("weights", "")
    try:
        if not weights:
            fresh: PreTrainedModel = auto.from_config(config, dtype=torch.float32)
            return fresh
        model, loading = auto.from_pretrained(
            weights,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # each architecture fails in its own way
        raise BackboneError(f"{name} cannot be built{f' from {weights}' if weights else ''}: {error}") from error
    missing = sorted(key for key in loading["missing_keys"] if _UNUSED not in key)
    if missing or loading["mismatched_keys"]:
        raise BackboneError(
            f"{weights} does not hold a whole {name}: missing {missing[:3]}, of other shapes "
            f"{sorted(map(str, loading['mismatched_keys']))[:3]}"
        )
    loaded: PreTrainedModel = model
    return loaded


def _check_directory(name: str, directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise BackboneError(f"{name}: weights {directory} must be a local directory with config.json and safetensors")
    if not list(directory.glob("*.safetensors")):
        pickled = [file.name for suffix in ("bin", "pt", "pth") for file in directory.glob(f"*.{suffix}")]
        reason = f"; {pickled[0]} is pickled and could run code: convert it to safetensors" if pickled else ""
        raise BackboneError(f"{name}: {directory} holds no safetensors{reason}")
