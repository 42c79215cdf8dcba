"""TLS: a server is trusted if the bundle of `verify` knows it, as the file is at that moment."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hook_calls import Caller

from airflow_provider_kling.client import link_problem
from airflow_provider_kling.errors import KlingConnectionError


def certificate(folder: Path, name: str) -> Path:
    """A file with a new key, and a certificate for 127.0.0.1 that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - day, now + day)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / f"{name}.pem"
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(pem))
    return path


class Handler(BaseHTTPRequestHandler):
    """An account without tasks."""

    def do_GET(self) -> None:
        body = b'{"code": 0, "message": "SUCCEED", "request_id": "r", "data": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def account(tmp_path) -> Iterator[tuple[str, Path]]:
    """An account behind TLS: its URL, and the file with its certificate."""
    path = certificate(tmp_path, "account")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}", path
        server.shutdown()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_bundle_counts_as_it_is_now(account, mode, tmp_path, monkeypatch) -> None:
    url, known = account
    bundle = certificate(tmp_path, "another")
    connection = {"conn_type": "kling", "password": "k", "host": url, "extra": {"verify": str(bundle)}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    for _ in range(2):
        with pytest.raises(KlingConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            Caller(mode).list_tasks()
    bundle.write_bytes(known.read_bytes())
    for _ in range(2):
        assert Caller(mode).list_tasks() == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # of urllib3, to one who has asked for it
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_without_verify_any_certificate_will_do(account, mode, monkeypatch) -> None:
    connection = {"conn_type": "kling", "password": "k", "host": account[0], "extra": {"verify": False}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(connection))
    assert Caller(mode).list_tasks() == []


def test_a_link_is_checked_with_the_bundle_of_the_environment(account, monkeypatch) -> None:
    url, known = account
    assert link_problem(f"{url}/a.jpg", allow_private=True) is None  # a server that is not trusted proves nothing
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(known))
    assert "leads to text/html" in str(link_problem(f"{url}/a.jpg", allow_private=True))
