"""Read YAML and remember on which line every mapping and key stood, so that errors can say where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bringup.errors import LaunchFileError


class Block(dict[str, Any]):
    """A mapping of the file with its line and the line of each key, counted from 1."""

    line: int
    key_lines: dict[str, int]


class _Loader(yaml.SafeLoader):
    """SafeLoader that makes Blocks and refuses a key given twice."""


def _construct_block(loader: _Loader, node: yaml.MappingNode) -> Block:
    block = Block()
    block.line = node.start_mark.line + 1
    block.key_lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not text", key_node.start_mark)
        if key in block:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
        block[key] = loader.construct_object(value_node, deep=True)
        block.key_lines[key] = line
    return block


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_block)


def load(path: Path) -> Any:  # noqa: ANN401 - a YAML document is any tree of Blocks, lists and scalars
    """The document in `path`; raises LaunchFileError if it cannot be read or is not YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except OSError as error:
        raise LaunchFileError(path, None, f"cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise LaunchFileError(path, line, f"is not valid YAML: {error.problem}") from error
