"""Policies that need no GPU and no training: a recorded episode played again, and scripted motions."""
