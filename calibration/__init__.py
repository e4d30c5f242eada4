"""Measured rigs. No calibration command exists yet."""
