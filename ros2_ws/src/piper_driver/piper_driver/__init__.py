"""The node that owns one arm's CAN bus."""
