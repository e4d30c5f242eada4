"""A checkpoint is a directory of three files. Loading executes nothing and refuses whatever it can't vouch for.

- `weights.safetensors`: float32 masters. A policy trained in bfloat16 and saved in it would lose most of what
  reinforcement learning changed.
- `golden.safetensors`: a few observations and the greedy answers of the policy when it was saved. Whoever loads the
  policy asks it again: a library or a machine that computes something else is found before the arm moves.
- `manifest.json`: the contract, the kind and sizes of the network, the record that training wrote (configuration,
  seeds, curves, success with intervals), code revision and package versions, SHA-256 of the other files and of itself.

The hashes find damage and mix-ups. They are no signature: who can write the directory can also write new hashes.

`python -m sim_train.checkpoint inspect DIR` checks a checkpoint and prints what is in it.
"""

from sim_train.checkpoint.files import GOLDEN, MANIFEST, WEIGHTS, CheckpointError, clear_leftovers
from sim_train.checkpoint.golden import ACTION_LIMIT, Deviation, Questions, check_golden, read_golden
from sim_train.checkpoint.manifest import check_hashes, contract_of, read_manifest
from sim_train.checkpoint.store import build_policy, load_checked, load_policy, save_policy

__all__ = [
    "ACTION_LIMIT",
    "GOLDEN",
    "MANIFEST",
    "WEIGHTS",
    "CheckpointError",
    "Deviation",
    "Questions",
    "build_policy",
    "check_golden",
    "check_hashes",
    "clear_leftovers",
    "contract_of",
    "load_checked",
    "load_policy",
    "read_golden",
    "read_manifest",
    "save_policy",
]
