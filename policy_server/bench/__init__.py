"""Measures a running server from the outside: `python -m policy_server bench --target ADDR`."""
