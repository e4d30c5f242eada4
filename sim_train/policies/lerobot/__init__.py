"""pi0 and SmolVLA: flow policies whose weights come from LeRobot's checkpoints and go back to them."""
