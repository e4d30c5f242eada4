"""Parameters of a node in a launch file, typed as ROS 2 types them."""

from __future__ import annotations

import yaml

from bringup.nodes import ParameterValue
from bringup.scope import Scope
from bringup.substitutions import has_substitution

PARAMETER_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
PARAMETER_KEYS = {"name": str, "value": None, "type": str}


def parameter(entry: Scope) -> tuple[str, ParameterValue]:
    """Name and value of one parameter.

    A value without substitution keeps the type it has in YAML. A value with one is read as YAML afterwards, unless
    `type` (str, int, float or bool) says what it must be.
    """
    name = entry.text("name")
    value, wanted = entry.value("value"), entry.value("type")
    if value is None:
        raise entry.error(f"parameter '{name}' needs a value; another file ('from') is not supported")
    if wanted is not None and wanted not in PARAMETER_TYPES:
        raise entry.error(f"type '{wanted}' is not supported; supported: {', '.join(PARAMETER_TYPES)}", "type")
    if isinstance(value, str) and (has_substitution(value) or wanted):
        text = entry.text("value")
        value = text if wanted == "str" else yaml.safe_load(text) if text else text
        if wanted == "float" and type(value) is int:
            value = float(value)
    scalars = value if isinstance(value, list) else [value]
    if not scalars or any(type(item) not in (bool, int, float, str) for item in scalars):
        raise entry.error(f"parameter '{name}' must be a scalar or a list of scalars, not {value!r}", "value")
    if len({type(item) for item in scalars}) > 1:
        raise entry.error(f"parameter '{name}' mixes types in its list", "value")
    if wanted is not None and type(value) is not PARAMETER_TYPES[wanted]:
        raise entry.error(f"parameter '{name}' must be of type {wanted}, not {value!r}", "value")
    return name, value
