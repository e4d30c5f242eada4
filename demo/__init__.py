"""The whole ring in one command, and the report on it."""
