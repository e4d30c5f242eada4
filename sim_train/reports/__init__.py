"""Numbers and lines that tell how a run went."""
