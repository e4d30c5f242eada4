# Every target sets itself up first; that takes minutes once and milliseconds afterwards.
SHELL := /bin/bash
PYTHON_BIN := .venv/bin/python

# Rendering without a display; one rendering thread a process, because the work runs in several processes
export MUJOCO_GL ?= egl
export PYOPENGL_PLATFORM ?= $(MUJOCO_GL)
export LP_NUM_THREADS ?= 0
# ROS 2 stays on this machine and finds its package index in the environment
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export AMENT_PREFIX_PATH ?= $(CURDIR)/.venv
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow bench-worlds bench-rl bench-rl-gpu bench-serving faults lint format lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install everything that is missing, from nothing
	@./scripts/setup.sh

demo: setup ## train, serve, run the virtual robot, write outputs/demo/report.html
	@$(PYTHON_BIN) -m demo

test: setup ## run the tests that take seconds
	@$(PYTHON_BIN) scripts/run_tests.py -m "not slow" $(ARGS)

test-slow: setup ## run the tests that take minutes
	@$(PYTHON_BIN) -m pytest -m slow $(ARGS)

bench-worlds: setup ## measure what worlds cost and how true they are; writes benchmarks/results
	@$(PYTHON_BIN) -m benchmarks.worlds $(ARGS)

bench-rl: setup ## measure what reinforcement learning reaches (CELLS=pattern BUDGET_MIN=minutes ARGS=--list)
	@$(PYTHON_BIN) -m benchmarks.rl $(if $(CELLS),--cells '$(CELLS)') $(if $(BUDGET_MIN),--budget-min $(BUDGET_MIN)) $(ARGS)

bench-rl-gpu: setup ## measure the small policy on a GPU: seconds by phase, MFU, memory; writes benchmarks/results
	@$(PYTHON_BIN) -m benchmarks.rl_gpu

bench-serving: setup ## compare the policy server with a bare call, LeRobot and one by one; fuzz it; writes benchmarks/results
	@$(PYTHON_BIN) -m benchmarks.serving $(ARGS)

faults: setup ## put every fault of the matrix into the real loop, measure what happens; writes docs/faults.md
	@$(PYTHON_BIN) -m benchmarks.faults $(ARGS)

lint: setup ## check style, types and who may import whom
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/mypy scripts
	@.venv/bin/lint-imports

format: setup ## write the code in the house style
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

lock: setup ## resolve all dependencies anew for every Python and write constraints/
	@$(PYTHON_BIN) scripts/lock.py

clean: ## remove the environment and caches; outputs stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
