"""Measures the policy server: speed against others, and how it takes messages that nobody should send."""
