"""The fault matrix: what the whole loop does about each fault, how soon, and how often that was tried."""
