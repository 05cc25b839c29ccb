"""What changes in a deployment's folder over the years: certificates, secrets and keys are renewed, sites leave.

New files are written beside the old ones first, and the SuperLink is told; only then do they change places.
"""

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from federation.rules import InputError
from scenarios.deployment import compose, credentials
from scenarios.deployment.credentials import Certified, Content, Key
from scenarios.deployment.init import description_file
from scenarios.deployment.layout import Layout
from scenarios.deployment.operator import Operator


def renew_certificate(layout: Layout) -> None:
    """A new key and certificate of the server, for the names that it has now, by the same authority.

    Raises:
        InputError: the authority's key or certificate is not here.
    """
    own = credentials.server(_authority(layout), layout.server_names)
    _exchange(
        {
            layout.certificate_key: credentials.key_file(own.key),
            layout.certificate: credentials.certificate_file(own.certificate),
        }
    )


def renew_secrets(layout: Layout) -> None:
    """New secrets between all SuperExecs and their servers."""
    _exchange(
        {path: credentials.secret_file() for path in (layout.server_secret, *(site.secret for site in layout.sites))}
    )


def rotate(layout: Layout, name: str, operator: Operator | None) -> None:
    """A new key pair of a site. The SuperLink knows the new one before the old one goes.

    Args:
        operator: None, where no SuperLink knows the site yet.
    """
    site = layout.site(name)
    private, public = credentials.node_key_files(credentials.new_key())
    files = {site.key: private, site.public_key: public}
    credentials.stage(files)
    if operator is not None:
        operator.admit(name, credentials.beside(site.public_key))
    credentials.switch(files)
    if operator is not None:
        operator.expel(name, but=site.public_key)


def remove(layout: Layout, name: str, operator: Operator | None) -> Layout:
    """Take a site out: its key is refused, and its files are moved aside; gives what is left.

    The sites after it are counted one less, as clients of runs.

    Raises:
        InputError: there is no such site, or no other.
    """
    site, aside = layout.site(name), layout.removed / name
    if len(layout.sites) == 1:
        raise InputError(f"{name} is the only site of {layout.root}; delete the folder instead")
    if aside.exists():
        raise InputError(f"{aside} exists already; delete it, or move it away")
    if operator is not None:
        operator.expel(name)
    sites = tuple(other for other in layout.description.sites if other != name)
    left = Layout(layout.root, layout.description.model_copy(update={"sites": sites}))
    _exchange({layout.description_file: description_file(left.description), layout.compose: compose.file_of(left)})
    aside.mkdir(mode=credentials.FOLDER, parents=True)
    for path in (site.key, site.public_key, site.secret, site.data):
        if path.exists():
            os.replace(path, aside / f"{'data' if path == site.data else path.name}")
    return left


def _exchange(files: dict[Path, Content]) -> None:
    credentials.stage(files)
    credentials.switch(files)


def _authority(layout: Layout) -> Certified:
    try:
        key = load_pem_private_key(layout.ca_key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(layout.ca.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{layout.ca_key} and {layout.ca} are needed to sign with ({error}); bring both here"
        ) from None
    if not isinstance(key, Key):
        raise InputError(f"{layout.ca_key}: no elliptic-curve key; bring the one that belongs to {layout.ca}")
    return Certified(certificate, key)
