"""Worker processes that play episodes."""
