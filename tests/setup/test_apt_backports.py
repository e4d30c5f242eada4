from pathlib import Path

import pytest
from apt_backports import backports_source, debian_uris, parse_deb822, parse_one_line, source_files

INDEXES = """\
http://mirror.test/debian/|bookworm|Debian
http://mirror.test/debian/|bookworm-updates|Debian
http://other.test/security/|bookworm-security|Debian
https://cloud.test/apt/|bookworm|Cloud tools
https://mute.test/apt/|bookworm|
"""
URIS = {"http://mirror.test/debian"}

DEB822 = """\
# the distribution
Types: deb
# http://old.test/debian
URIs: http://mirror.test/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://other.test/security
Suites: bookworm-security
Components: main
"""


def fields(source):
    (stanza,) = parse_deb822(source)
    return stanza


def test_only_what_apt_says_is_debian_counts():
    assert debian_uris(INDEXES, "bookworm") == URIS
    assert debian_uris(INDEXES, "trixie") == set()


def test_copies_the_stanza_that_serves_debian():
    source = backports_source({Path("debian.sources"): DEB822}, URIS, "bookworm")
    assert fields(source) == {
        "types": "deb",
        "uris": "http://mirror.test/debian/",
        "suites": "bookworm-backports",
        "components": "main",
        "signed-by": "/usr/share/keyrings/debian-archive-keyring.gpg",
    }


def test_reads_one_line_sources_with_options_and_comments():
    text = """
# deb http://mirror.test/debian bookworm main
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64] https://cloud.test/apt bookworm main
deb [arch=amd64,arm64 signed-by=/k.gpg] http://mirror.test/debian bookworm main non-free # the mirror
"""
    source = backports_source({Path("sources.list"): text}, URIS, "bookworm")
    assert fields(source) == {
        "types": "deb",
        "uris": "http://mirror.test/debian",
        "suites": "bookworm-backports",
        "components": "main",
        "architectures": "amd64 arm64",
        "signed-by": "/k.gpg",
    }


def test_keeps_a_key_that_is_written_into_the_stanza():
    text = DEB822.replace(
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n -----END PGP PUBLIC KEY BLOCK-----",
    )
    source = backports_source({Path("a.sources"): text}, URIS, "bookworm")
    assert "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n -----END" in source
    assert fields(source)["suites"] == "bookworm-backports"


@pytest.mark.parametrize(
    "text",
    [
        DEB822.replace("Types: deb\n# h", "Types: deb-src\n# h"),
        DEB822.replace("Suites: bookworm bookworm-updates", "Suites: bookworm-updates"),
        DEB822.replace("main contrib", "contrib"),
        DEB822.replace("# the distribution\n", "Enabled: no\n"),
        DEB822.replace("mirror.test", "elsewhere.test"),
    ],
    ids=["sources only", "updates only", "no main", "disabled", "not Debian"],
)
def test_finds_nothing_where_nothing_fits(text):
    assert backports_source({Path("a.sources"): text}, URIS, "bookworm") is None


def test_looks_through_several_files_in_order():
    files = {
        Path("z.list"): "deb http://mirror.test/debian bookworm main\n",
        Path("cloud.sources"): "Types: deb\nURIs: https://cloud.test/apt\nSuites: bookworm\nComponents: main\n",
    }
    assert fields(backports_source(files, URIS, "bookworm"))["uris"] == "http://mirror.test/debian"


def test_what_is_written_is_read_back_the_same():
    (stanza,) = parse_one_line("deb [trusted=yes] http://mirror.test/debian bookworm main\n")
    source = backports_source(
        {Path("x.list"): "deb [trusted=yes] http://mirror.test/debian bookworm main\n"}, URIS, "bookworm"
    )
    assert {**fields(source), "suites": "bookworm"} == stanza


def test_reads_only_the_files_that_apt_reads(tmp_path):
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    for name in ("a.list", "b.sources", "c.sources.disabled", "d.list.save"):
        (folder / name).write_text("x")
    (tmp_path / "sources.list").write_text("x")
    assert [path.name for path in source_files(tmp_path)] == ["sources.list", "a.list", "b.sources"]
