"""Stages of a training run: demonstrations, imitation, reinforcement."""
