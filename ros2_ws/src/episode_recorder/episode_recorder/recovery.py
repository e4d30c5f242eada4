"""Read an MCAP file that was never finished, up to its last whole chunk, and make a proper bag of it.

    python -m episode_recorder.recovery episodes/ep0003.truncated episodes/ep0003

Understands what `bag_writer` writes: uncompressed chunks (MCAP specification, records 0x03 to 0x06).
"""

import argparse
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from episode_recorder.bag_writer import BagWriter

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06


@dataclass(frozen=True)
class RecoveredMessage:
    """One message: topic, type name, ROS time of receipt, CDR bytes."""

    topic: str
    msgtype: str
    log_ns: int
    cdr: bytes


def salvage(mcap: Path) -> Iterator[RecoveredMessage]:
    """Yield the messages of every whole chunk, in file order. ValueError if the file is no such MCAP."""
    data = mcap.read_bytes()
    if not data.startswith(_MAGIC):
        raise ValueError(f"{mcap}: not an MCAP file (it starts with {data[:8]!r})")
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    for opcode, record in _records(data, len(_MAGIC)):
        if opcode != _CHUNK:
            continue
        compression, position = _string(record, 28)
        if compression:
            raise ValueError(f"{mcap}: chunks are compressed with {compression}; only plain ones are read")
        for inner, content in _records(record, position + 8):
            if inner == _SCHEMA:
                schemas[_u16(content, 0)], _ = _string(content, 2)
            elif inner == _CHANNEL:
                topic, _ = _string(content, 4)
                channels[_u16(content, 0)] = (topic, schemas[_u16(content, 2)])
            elif inner == _MESSAGE:
                topic, msgtype = channels[_u16(content, 0)]
                (log_ns,) = struct.unpack_from("<Q", content, 6)
                yield RecoveredMessage(topic, msgtype, log_ns, content[22:])


def recover_bag(source: Path, target: Path) -> int:
    """Write the readable part of the bag folder `source` as a new bag `target`; returns the message count."""
    files = sorted(source.glob("*.mcap"))
    if len(files) != 1:
        raise ValueError(f"{source}: expected one .mcap file, found {len(files)}")
    writer = BagWriter(target, target.name)
    count = 0
    for message in salvage(files[0]):
        writer.write(message.topic, message.msgtype, message.log_ns, message.cdr)
        count += 1
    writer.close()
    return count


def main() -> int:
    """Command line; exits 0 and prints the count, or 1 and prints why not."""
    parser = argparse.ArgumentParser(description="Make a readable bag of an unfinished one.")
    parser.add_argument("source", type=Path, help="folder of the unfinished episode")
    parser.add_argument("target", type=Path, help="folder to write; must not exist")
    arguments = parser.parse_args()
    if arguments.target.exists():
        print(f"{arguments.target} exists already; choose another folder", file=sys.stderr)
        return 1
    try:
        count = recover_bag(arguments.source, arguments.target)
    except (OSError, ValueError) as error:
        print(f"cannot recover: {error}", file=sys.stderr)
        return 1
    print(f"{count} messages written to {arguments.target}")
    return 0


def _records(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    while start + 9 <= len(data):
        opcode, size = struct.unpack_from("<BQ", data, start)
        start += 9
        if start + size > len(data):
            return  # cut off in the middle
        yield opcode, data[start : start + size]
        start += size


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _string(data: bytes, at: int) -> tuple[str, int]:
    size = int.from_bytes(data[at : at + 4], "little")
    return data[at + 4 : at + 4 + size].decode(), at + 4 + size


if __name__ == "__main__":
    sys.exit(main())
