"""Learning rules: imitation, and reinforcement from binary outcomes."""
