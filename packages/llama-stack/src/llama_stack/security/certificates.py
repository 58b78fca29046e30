"""What a certificate says of itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


def expires_at(path: Path) -> datetime:
    """When the first of those in a PEM file ends, in UTC. `ValueError` if there is none."""
    from cryptography import x509

    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes()))
