"""The layers that a network repeats: what is sharded, compiled and given adapters one by one."""

from __future__ import annotations

from torch import nn


def repeated_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Layers of transformers by name: members of lists of two or more modules of one class, outermost lists only."""
    found: dict[str, nn.Module] = {}
    for name, child in module.named_children():
        members = list(child.children())
        alike = len(members) > 1 and len({type(member) for member in members}) == 1
        if isinstance(child, (nn.ModuleList, nn.Sequential)) and alike and any(members[0].children()):
            found |= {f"{name}.{inner}": member for inner, member in child.named_children()}
        else:
            found |= {f"{name}.{inner}": layer for inner, layer in repeated_layers(child).items()}
    return found
