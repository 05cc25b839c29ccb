"""Certificates, node keys and secrets: made once, never written over, and exchanged only as a whole."""

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE, SERVER_LIFE = timedelta(days=3650), timedelta(days=825)
CLOCK_SKEW = timedelta(hours=1)
"""By which a young certificate is already valid, for clocks that are slow."""

PRIVATE, PUBLIC, FOLDER = 0o600, 0o644, 0o700
"""Modes of files that their owner alone reads, of others, and of folders."""

NEW = ".new"
"""The end of the names of files that wait to take the place of others."""

Key = ec.EllipticCurvePrivateKey


class Certified(NamedTuple):
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: Key


def authority(now: datetime | None = None) -> Certified:
    """A new certificate authority of this deployment alone; it may sign servers and no further authorities."""
    key, name = new_key(), _name("Manifold Federation CA")
    usage = x509.KeyUsage(**{**_NO_USAGE, "key_cert_sign": True, "crl_sign": True})
    builder = (
        _builder(name, name, key, AUTHORITY_LIFE, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Certified(builder.sign(key, hashes.SHA384()), key)


def server(signer: Certified, names: Sequence[str], now: datetime | None = None) -> Certified:
    """A server's certificate.

    Args:
        names: host names and IP addresses under which it is reached.
    """
    key, issuer = new_key(), signer.certificate.subject
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    builder = (
        _builder(_name(names[0]), issuer, key, SERVER_LIFE, now)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**{**_NO_USAGE, "digital_signature": True}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
    )
    return Certified(builder.sign(signer.key, hashes.SHA384()), key)


def new_key() -> Key:
    """A private key on P-384, the curve of all keys here."""
    return ec.generate_private_key(ec.SECP384R1())


class Content(NamedTuple):
    """What a file holds, and who may read it."""

    data: bytes
    mode: int


def certificate_file(certificate: x509.Certificate) -> Content:
    """PEM, for all to read."""
    return Content(certificate.public_bytes(Encoding.PEM), PUBLIC)


def key_file(key: Key) -> Content:
    """A server's private key as PKCS 8, not encrypted, for its owner alone."""
    return Content(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), PRIVATE)


def node_key_files(key: Key) -> tuple[Content, Content]:
    """A node's key pair, private and public, in OpenSSH's formats, which SuperNodes read."""
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return Content(private, PRIVATE), Content(public, PUBLIC)


def secret_file() -> Content:
    """256 random bits in hexadecimal, without a line end: Flower takes a secret's file byte by byte."""
    return Content(secrets.token_hex(32).encode(), PRIVATE)


def write(path: Path, content: Content) -> None:
    """Write a new file that never had another mode.

    Raises:
        FileExistsError: there is one already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, content.mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, content.mode)
        file.write(content.data)
        file.flush()
        os.fsync(descriptor)


def write_node_key(private: Path, public: Path, key: Key) -> None:
    """Write a node's new key pair."""
    for path, content in zip((private, public), node_key_files(key), strict=True):
        write(path, content)


def beside(path: Path) -> Path:
    """Where a file lies that shall take the place of another."""
    return path.with_name(f"{path.name}{NEW}")


def stage(files: Mapping[Path, Content]) -> None:
    """Write files beside those whose place they shall take, with the same owner; nothing is changed yet."""
    for path, content in files.items():
        beside(path).unlink(missing_ok=True)
        write(beside(path), content)
        if path.exists() and os.geteuid() == 0:
            os.chown(beside(path), path.stat().st_uid, path.stat().st_gid)


def switch(paths: Iterable[Path]) -> None:
    """Put staged files in the place of the old ones. Where this is cut off, `check` finds what is left of it."""
    for path in paths:
        os.replace(beside(path), path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, life: timedelta, now: datetime | None
) -> x509.CertificateBuilder:
    begin = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - CLOCK_SKEW)
        .not_valid_after(begin + life)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
