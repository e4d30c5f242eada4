"""Learning: worlds, environments, policies, algorithms, rollouts, checkpoints."""
