"""Action-token policies around any vision backbones and causal language model of transformers."""
