"""Certificates that are no longer welcome: a robot that was stolen, an administrator who has left.

A file `denied.txt` beside the server's certificate names them, one URI a line; what follows a `#` is for people:

    armature://robot/arm-3    # stolen 2026-11-02

Whoever is named is refused from the next call on, without a restart. A replacement needs another name.
"""

import logging
import threading
from pathlib import Path

from policy_api.errors import PermissionDenied

from policy_server.security import Peer, TlsError

log = logging.getLogger(__name__)

FILE_NAME = "denied.txt"


class Denied:
    """The names in a file, which need not exist. Looked at again whenever it has changed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """TlsError if a line of the file names nobody."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._uris = self._read()

    def check(self, peer: Peer) -> None:
        """Raise PermissionDenied if the peer is named."""
        stamp = self._stamped()
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._renew()
            if peer.uri in self._uris:
                raise PermissionDenied(
                    f"{peer.uri} is denied by this server ({FILE_NAME}); ask its administrator for a certificate with "
                    "another name"
                )

    def _renew(self) -> None:
        try:
            self._uris = self._read()
            log.info("%s names %d certificates", self._path, len(self._uris))
        except (OSError, ValueError) as error:
            log.error("denied certificates are as before: %s", error)

    def _stamped(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _read(self) -> frozenset[str]:
        if not self._path.exists():
            return frozenset()
        uris = [line.partition("#")[0].strip() for line in self._path.read_text("utf-8").splitlines()]
        for number, uri in enumerate(uris, 1):
            if uri and Peer.parse(uri) is None:
                raise TlsError(f"{self._path}:{number}: {uri!r} is not armature://robot/NAME or armature://admin/NAME")
        return frozenset(filter(None, uris))
