"""One rosbag2 bag (MCAP) of raw CDR messages, written so that a kill loses little.

rosbags keeps a chunk of 1 MiB in memory, which at our data rates is seconds; `flush` closes the chunk
early and hands it to the operating system.
"""

import contextlib
import os
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import Stores, get_typestore

_TYPES = get_typestore(Stores.ROS2_JAZZY)


class BagWriter:
    """Writes `<folder>/<name>.mcap` and, on close, `<folder>/metadata.yaml`. The folder must not exist.

    Every method raises OSError when the disk refuses (full, gone); `abandon` is then what remains to do.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        storage = self._writer.storage
        assert isinstance(storage, McapWriter)
        storage.path = storage.path.rename(folder / f"{name}.mcap")
        self._storage = storage
        self._connections: dict[str, Connection] = {}
        self._size_of_whole_chunks = 0
        self.file = storage.path
        self.flush()

    def write(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Append one message. `msgtype` as in "sensor_msgs/msg/JointState", `log_ns` ROS time of receipt."""
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, msgtype, typestore=_TYPES)
            self._connections[topic] = connection
        self._writer.write(connection, log_ns, cdr)

    def flush(self) -> None:
        """Make everything written so far survive the death of this process."""
        if self._storage.chunk.msgs:
            self._storage.close_chunk()
        self._storage.bio.flush()
        self._size_of_whole_chunks = self._storage.bio.tell()

    def close(self) -> None:
        """Write index and metadata, and wait until the disk has them."""
        self._writer.close()
        for path in (self.file, self._writer.metapath, self.file.parent):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def abandon(self) -> None:
        """Give up after an error: cut the file to its last whole chunk. `recovery` reads what is there."""
        with contextlib.suppress(OSError):  # closing tries the failed write once more
            self._writer.abort()
        os.truncate(self.file, self._size_of_whole_chunks)
