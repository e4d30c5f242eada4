"""A certificate authority in a folder: ECDSA P-256, X.509 v3 (RFC 5280), keys readable by their owner alone."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from policy_api.channel import TlsFiles

from policy_server.security import TlsError, read_tls

CA_DAYS = 3650
LEAF_DAYS = 730
RENEW_DAYS = 60
"""A certificate that has less left is made anew by the next `Authority.ensure`."""

_BACKDATED = timedelta(days=1)  # a robot's clock may be behind


@dataclass(frozen=True)
class Issued:
    """A certificate in `folder`, the names in it and what `Authority.ensure` did: "made", "kept" or "renewed"."""

    folder: Path
    names: tuple[str, ...]
    expires: datetime
    change: str


@dataclass(frozen=True)
class Authority:
    """The authority of a folder: `ca.pem`, which everybody may read, and `ca.key`, which signs."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls, folder: Path, now: datetime) -> "Authority":
        """The authority of `folder`; a new one if there is none. TlsError if it is incomplete, damaged or expired."""
        certificate, key = folder / "ca.pem", folder / "ca.key"
        if not certificate.exists() and not key.exists():
            return cls._make(folder, now)
        if not (certificate.exists() and key.exists()):
            missing = key if certificate.exists() else certificate
            raise TlsError(
                f"{missing} is missing, the other half of the authority is there; put it back, or choose an empty "
                "folder for a new authority (every robot and server then needs new certificates)"
            )
        read_tls(TlsFiles(certificate, certificate, key), now)
        private = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TlsError(f"{key} is not an elliptic curve key; choose an empty folder for a new authority")
        return cls(folder, x509.load_pem_x509_certificate(certificate.read_bytes()), private)

    @classmethod
    def _make(cls, folder: Path, now: datetime) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"armature authority {now:%Y-%m-%d}")
        certificate = (
            _dated(now, CA_DAYS)
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_key(folder / "ca.key", key)
        _write(folder / "ca.pem", certificate.public_bytes(Encoding.PEM), 0o644)
        return cls(folder, certificate, key)

    def ensure(self, place: str, name: str, names: list[x509.GeneralName], server: bool, now: datetime) -> Issued:
        """Have a certificate for `names` in the folder `place`, made for a server or for a client.

        One that names all of them and lasts for 60 more days is kept. A new one keeps the names that the old one had.
        """
        files = TlsFiles.of(self.folder / place)
        change = "made"
        if files.cert.exists() and files.key.exists():
            old = _load(files.cert)
            had = list(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
            if set(names) <= set(had) and old.not_valid_after_utc - now > timedelta(days=RENEW_DAYS):
                read_tls(TlsFiles(self.folder / "ca.pem", files.cert, files.key), now)
                return _issued(files, old, "kept")
            names = had + [new for new in names if new not in had]
            change = "renewed"
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), name, names, server, now)
        files.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_key(files.key, key)
        _write(files.cert, certificate.public_bytes(Encoding.PEM), 0o644)
        _write(files.ca, self.certificate.public_bytes(Encoding.PEM), 0o644)
        return _issued(files, certificate, change)

    def _sign(
        self, key: ec.EllipticCurvePublicKey, name: str, names: list[x509.GeneralName], server: bool, now: datetime
    ) -> x509.Certificate:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            _dated(now, LEAF_DAYS)
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _issued(files: TlsFiles, certificate: x509.Certificate, change: str) -> Issued:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Issued(files.cert.parent, tuple(str(name.value) for name in names), certificate.not_valid_after_utc, change)


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise TlsError(f"{path} is damaged ({error}); remove the folder to have it made anew") from error


def _dated(now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write whole or not at all; the file has its mode before it has its bytes."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
    part.replace(path)
