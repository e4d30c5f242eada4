import argparse
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from policy_api.channel import TlsFiles

from policy_server.authority import CA_DAYS, LEAF_DAYS, RENEW_DAYS
from policy_server.certificates import add_arguments, make, run
from policy_server.security import TlsError, read_tls

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def changes(issued):
    return {one.folder.name: one.change for one in issued}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "certs"


def test_first_run_makes_everything(folder):
    issued = make(folder, ["arm-1", "arm.2"], [], ["policy.lab", "10.0.0.7"], NOW)
    assert changes(issued) == dict.fromkeys(("server", "arm-1", "arm.2", "admin"), "made")
    names = {one.folder.name: one.names for one in issued}
    assert names["server"] == ("localhost", "127.0.0.1", "::1", "policy.lab", "10.0.0.7")
    assert names["arm-1"] == ("armature://robot/arm-1",)
    assert names["admin"] == ("armature://admin/admin",)
    for one in issued:
        assert one.expires == NOW + timedelta(days=LEAF_DAYS)
        read_tls(TlsFiles.of(one.folder), NOW)
    assert read_tls(TlsFiles.of(folder / "server"), NOW).ca == (folder / "ca.pem").read_bytes()


def test_keys_are_private_and_elliptic(folder):
    make(folder, ["arm"], [], [], NOW)
    keys = [folder / "ca.key", *folder.rglob("key.pem")]
    assert len(keys) == 4
    assert [path.stat().st_mode & 0o777 for path in keys] == [0o600] * 4
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*.pem"):
        if path.name != "key.pem":
            key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            assert isinstance(key.curve, ec.SECP256R1)
    assert not list(folder.rglob("*.part"))


def test_second_run_adds_robots_and_keeps_the_rest(folder):
    make(folder, ["one"], [], [], NOW)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    issued = make(folder, ["two"], [], [], NOW + timedelta(days=9))
    assert changes(issued) == {"server": "kept", "one": "kept", "two": "made", "admin": "kept"}
    assert {path: path.read_bytes() for path in before} == before


def test_new_server_name_is_added_to_the_old_ones(folder):
    make(folder, [], [], ["old.lab"], NOW)
    server = make(folder, [], [], ["new.lab"], NOW)[0]
    assert server.change == "renewed"
    assert {"old.lab", "new.lab", "127.0.0.1"} <= set(server.names)
    assert make(folder, [], [], [], NOW)[0].change == "kept"


def test_what_expires_soon_is_renewed_with_its_names(folder):
    make(folder, ["arm"], ["boss"], ["policy.lab"], NOW)
    late = NOW + timedelta(days=LEAF_DAYS - RENEW_DAYS, seconds=1)
    issued = make(folder, [], [], [], late)
    assert changes(issued) == {"server": "renewed", "arm": "renewed", "boss": "renewed", "admin": "made"}
    assert "policy.lab" in issued[0].names
    assert all(one.expires == late + timedelta(days=LEAF_DAYS) for one in issued)
    assert (folder / "ca.pem").read_bytes() == (folder / "server" / "ca.pem").read_bytes()


@pytest.mark.parametrize("lost", ["ca.key", "ca.pem"])
def test_half_an_authority_is_not_replaced(folder, lost):
    make(folder, [], [], [], NOW)
    kept = (folder / "ca.pem").read_bytes() if lost == "ca.key" else (folder / "ca.key").read_bytes()
    (folder / lost).unlink()
    with pytest.raises(TlsError, match=f"{lost} is missing.*put it back"):
        make(folder, [], [], [], NOW)
    assert not (folder / lost).exists()
    assert (folder / ("ca.pem" if lost == "ca.key" else "ca.key")).read_bytes() == kept


def test_expired_authority_is_refused(folder):
    make(folder, [], [], [], NOW)
    with pytest.raises(TlsError, match=r"ca.pem is valid from 2029-12-31 to 2039"):
        make(folder, [], [], [], NOW + timedelta(days=CA_DAYS + 1))


def test_foreign_files_are_refused(folder, tmp_path):
    make(folder, ["arm"], [], [], NOW)
    make(tmp_path / "other", ["arm"], [], [], NOW)
    (folder / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(TlsError, match="is not the key of"):
        make(folder, [], [], [], NOW)
    for name in ("ca.key", "ca.pem"):
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(TlsError, match="was not issued by"):
        make(folder, [], [], [], NOW)


def test_damaged_certificate_is_named(folder):
    make(folder, ["arm"], [], [], NOW)
    (folder / "robots" / "arm" / "cert.pem").write_text("nonsense")
    with pytest.raises(TlsError, match=r"arm/cert.pem is damaged.*remove the folder"):
        make(folder, [], [], [], NOW)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".", "a b", "-x", "x" * 65, "ä"])
def test_bad_robot_names_are_refused_before_anything_is_made(folder, name):
    with pytest.raises(TlsError, match="1 to 64 letters"):
        make(folder, [name], [], [], NOW)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "host:50051", "http://x", "a b", "10.0.0.0/8", "x" * 64, "x..y"])
def test_bad_server_names_are_refused(folder, name):
    with pytest.raises(TlsError, match="neither a host name nor"):
        make(folder, [], [], [name], NOW)
    assert not folder.exists()


def test_command_prints_folders_and_expiry(folder, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(["--out", str(folder), "--robot", "arm-7"]))
    text = capsys.readouterr().out
    assert "robots/arm-7" in text
    assert "armature://robot/arm-7" in text
    assert f"{datetime.now(timezone.utc) + timedelta(days=LEAF_DAYS):%Y-%m}" in text
    assert "ca.key makes new certificates" in text
