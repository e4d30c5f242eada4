"""Serves a policy checkpoint over gRPC."""
