#!/usr/bin/env python3
"""Print what the project needs from the package index, without the project itself: `requirements.py [EXTRA ...]`.

For images in which the project's own packages come from elsewhere, such as a colcon build. Python 3.10 needs `tomli`.
"""

from __future__ import annotations

import sys

from setup_plan import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def requirements(extras: list[str]) -> list[str]:
    """The base dependencies and those of `extras`; raises KeyError for an extra that does not exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
