"""What LeRobot needs before it can be imported beside a torch without CUDA."""

import torch

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[torch.library.Library] = []


def declare_operators() -> None:
    """Declare two operators of torchvision, whose binary is made for CUDA: LeRobot imports it, nothing calls it."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in _OPERATORS:
        library.define(operator)
    _kept.append(library)  # what it declared goes with it
