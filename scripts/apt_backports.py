"""Derive a `bookworm-backports` apt source from the sources that a machine already has.

Debian 12's own Mesa (22.3) is too old for SAPIEN, which needs 24 or newer to render on a CPU; Debian's backports carry
one. Which mirror serves them, and which key signs it, is read from the machine: the stanza that serves Debian itself is
copied with another suite. Both of apt's formats are read: `*.sources` (deb822) and one-line `*.list` files.
"""

from __future__ import annotations

import re
from pathlib import Path

ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
# apt-get indextargets --format with these fields says what apt learned about every index it has fetched
INDEX_FORMAT = "$(REPO_URI)|$(RELEASE)|$(ORIGIN)"


def debian_uris(indextargets: str, codename: str) -> set[str]:
    """URIs, without a trailing slash, that serve Debian's own suite `codename` according to apt's fetched indexes.

    `indextargets` is the output of `apt-get indextargets --format INDEX_FORMAT`. Repositories of others that merely
    call their suite `bookworm` have another origin and are left out.
    """
    uris = set()
    for line in indextargets.splitlines():
        uri, release, origin = (*line.split("|"), "", "")[:3]
        if release == codename and origin == "Debian":
            uris.add(uri.rstrip("/"))
    return uris


def parse_deb822(text: str) -> list[dict[str, str]]:
    """Stanzas of a `.sources` file: field name in lower case -> value, continuation lines kept with their newlines."""
    stanzas: list[dict[str, str]] = []
    current: dict[str, str] = {}
    field = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            if current:
                stanzas.append(current)
            current, field = {}, ""
        elif line[0] in " \t" and field:
            current[field] += "\n" + line
        elif ":" in line:
            name, value = line.split(":", 1)
            field = name.strip().lower()
            current[field] = value.strip()
    if current:
        stanzas.append(current)
    return stanzas


def parse_one_line(text: str) -> list[dict[str, str]]:
    """Entries of a `.list` file as stanzas of the other format; `deb-src` lines and comments are left out."""
    stanzas = []
    for raw in text.splitlines():
        match = ONE_LINE.match(raw.split("#", 1)[0].strip())
        if match is None:
            continue
        stanza = {
            "types": "deb",
            "uris": match["uri"],
            "suites": match["suite"],
            "components": match["components"].strip(),
        }
        for option in (match["options"] or "").split():
            name, _, value = option.partition("=")
            name = {"arch": "architectures", "lang": "languages", "target": "targets"}.get(name, name)
            stanza[name.lower()] = value.replace(",", " ")
        stanzas.append(stanza)
    return stanzas


def backports_source(files: dict[Path, str], uris: set[str], codename: str) -> str | None:
    """Text of a `.sources` file for `<codename>-backports`, or None if no source serves Debian's `codename`.

    `files` maps the paths of apt's source files to their texts; `uris` comes from `debian_uris`.
    """
    for path, text in sorted(files.items()):
        stanzas = parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text)
        for stanza in stanzas:
            served = [uri for uri in stanza.get("uris", "").split() if uri.rstrip("/") in uris]
            if (
                not served
                or "deb" not in stanza.get("types", "").split()
                or codename not in stanza.get("suites", "").split()
                or "main" not in stanza.get("components", "").split()
                or stanza.get("enabled", "yes").lower() in ("no", "false", "0", "off")
            ):
                continue
            changed = {"types": "deb", "uris": served[0], "suites": f"{codename}-backports", "components": "main"}
            return "".join(f"{name.title()}: {value}\n" for name, value in {**stanza, **changed}.items())
    return None


def source_files(etc_apt: Path) -> dict[Path, str]:
    """Every source file that apt reads under `etc_apt`, with its text."""
    paths = [etc_apt / "sources.list"]
    for pattern in ("*.list", "*.sources"):
        paths += sorted((etc_apt / "sources.list.d").glob(pattern))
    return {path: path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()}
