#!/bin/bash
# Sets the project up (see install.py). All this file does is find a Python to start that with, of any version from 3.8.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

if ! command -v python3 >/dev/null; then
    if [ "$(id -u)" = 0 ]; then root=""; else root="sudo -n"; fi
    if command -v apt-get >/dev/null && $root true 2>/dev/null; then
        echo "[setup] no python3 yet; asking apt for python3 and python3-venv"
        $root apt-get -qq update
        DEBIAN_FRONTEND=noninteractive $root apt-get -qq install -y --no-install-recommends \
            python3 python3-venv >/dev/null
    else
        echo "[setup] FAILED: no python3 here. Install Python 3.10, 3.11 or 3.12 with its venv module." >&2
        exit 1
    fi
fi
exec python3 "$here/install.py" "$@"
