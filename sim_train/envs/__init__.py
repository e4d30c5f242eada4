"""Environments: worlds moved by motion_control, seen through the contract."""

from sim_train.envs.batch_env import BatchEnv, Observations, StepResult
from sim_train.envs.specs import task_spec

__all__ = ["BatchEnv", "Observations", "StepResult", "task_spec"]
