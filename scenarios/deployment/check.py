"""What is wrong with a deployment's folder, before anything is started with it."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from scenarios.deployment.credentials import NEW
from scenarios.deployment.layout import Layout, Site
from scenarios.deployment.own_data import file_problems

_REMEDY = {False: "`manifold deploy renew --certificates`", True: "make a new deployment"}
"""By whether it is the authority's."""

SECRET_BYTES = 32
"""The shortest secret that is taken."""


def problems(layout: Layout, now: datetime | None = None) -> list[str]:
    """Each problem in one line: the file, what is wrong, and what to do; none where all is good."""
    moment = now or datetime.now(UTC)
    found = [*_modes(layout), *_certificates(layout, moment), *_secrets(layout)]
    for site in layout.sites:
        found += _node_keys(site)
    folders = {"the server": layout.server_data} | {site.name: site.data for site in layout.sites}
    missing = [
        f"{path}: no such folder; make it, for the data of {who}" for who, path in folders.items() if not path.is_dir()
    ]
    return [*found, *missing, *file_problems(layout), *_unfinished(layout)]


def _unfinished(layout: Layout) -> Iterator[str]:
    for path in sorted(layout.root.glob(f"**/*{NEW}")):
        yield f"{path}: left where a change was cut off; repeat the `manifold deploy` command, or delete it"


def _modes(layout: Layout) -> Iterator[str]:
    for path in layout.private:
        if not path.is_file():
            yield f"{path}: missing; take it from a copy, or make a new deployment"
        elif mode := stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield f"{path}: others may read it (mode {mode | 0o600:03o}); chmod 600 {path}"
    if stat.S_IMODE(layout.root.stat().st_mode) & 0o022:
        yield f"{layout.root}: others may write to it; chmod 700 {layout.root}"


def _certificates(layout: Layout, now: datetime) -> Iterator[str]:
    loaded = {path: _certificate(path) for path in (layout.ca, layout.certificate)}
    for path, certificate in loaded.items():
        if certificate is None:
            yield f"{path}: no readable certificate; take it from a copy, or make a new deployment"
        elif now > certificate.not_valid_after_utc:
            yield f"{path}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}; {_REMEDY[path == layout.ca]}"
        elif now < certificate.not_valid_before_utc:
            yield f"{path}: not valid before {certificate.not_valid_before_utc:%Y-%m-%d}; check this machine's clock"
    for path, key_path in ((layout.ca, layout.ca_key), (layout.certificate, layout.certificate_key)):
        key, certificate = _server_key(key_path), loaded[path]
        if key_path.is_file() and key is None:
            yield f"{key_path}: no readable private key; take it from a copy"
        elif key is not None and certificate is not None and certificate.public_key() != key.public_key():
            yield f"{key_path}: does not belong to {path}; take both from the same copy"
    authority, own = loaded.values()
    if authority is None or own is None:
        return
    if not _signed(own, authority):
        yield f"{layout.certificate}: not signed by {layout.ca}; take both from the same copy"
    if missing := sorted(set(layout.server_names) - _names(own)):
        yield f"{layout.certificate}: lacks {', '.join(missing)} among its names; {_REMEDY[False]}"


def _secrets(layout: Layout) -> Iterator[str]:
    paths = [layout.server_secret, *(site.secret for site in layout.sites)]
    held = {path: path.read_bytes() for path in paths if path.is_file()}
    for path, secret in held.items():
        if len(secret) < SECRET_BYTES:
            yield f"{path}: {len(secret)} bytes, expected {SECRET_BYTES} or more; `manifold deploy renew --secrets`"
    if len(set(held.values())) < len(held):
        yield f"{layout.server_secret.parent}: two places share a secret; `manifold deploy renew --secrets`"


def _node_keys(site: Site) -> Iterator[str]:
    private, public = _node_key(site.key), _public_key(site.public_key)
    if not site.public_key.is_file():
        yield f"{site.public_key}: missing; `ssh-keygen -y -f {site.key}` prints it"
    elif public is None:
        yield f"{site.public_key}: no public key on a NIST curve in OpenSSH's format; `ssh-keygen -y -f {site.key}`"
    if site.key.is_file() and private is None:
        yield f"{site.key}: no private key on a NIST curve in OpenSSH's format; take it from a copy"
    elif private is not None and public is not None and private.public_key() != public:
        yield f"{site.public_key}: does not belong to {site.key}; `ssh-keygen -y -f {site.key}` prints the right one"


def _certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _server_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        return cast(ec.EllipticCurvePrivateKey, load_pem_private_key(path.read_bytes(), None))
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _node_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = load_ssh_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _public_key(path: Path) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_ssh_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    names = extension.value.get_values_for_type(x509.DNSName)
    return {*names, *map(str, extension.value.get_values_for_type(x509.IPAddress))}
