"""Benchmarks of what moves an arm, against peers."""
