"""Policies: networks behind one interface."""
