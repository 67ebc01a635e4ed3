# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates for a test, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

LIMIT = 30.0


def authority_with(folder: Path, *names: str) -> None:
    """An ``authority``, and for each name a key and a certificate that it signed for 127.0.0.1."""
    make(folder, "authority")
    for name in names:
        make(folder, name, "authority")


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=LIMIT)


def make(folder: Path, name: str, issuer: str = "") -> None:
    """A key and a certificate: of its own, or for 127.0.0.1 of ``issuer``."""
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    new += ["-keyout", f"{name}.key"]
    if not issuer:
        openssl(folder, *new, "-x509", "-days", "2", "-out", f"{name}.pem")
        return
    openssl(folder, *new, "-new", "-out", f"{name}.csr")
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"]
    openssl(folder, *sign, "-days", "2", "-extfile", "extensions", "-out", f"{name}.pem")
