"""Runs over TLS: a certificate that nobody vouches for is an error, unless the contract says otherwise."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest
from real_runs import contract, rows, run

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
BODY = b"0123456789" * 20_000  # several TLS records


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("verify", [True, False])
def test_a_self_signed_certificate_is_refused_or_accepted_as_the_contract_says(
    port: int, verify: bool, tmp_path: Path
) -> None:
    endpoint = {"name": "search", "path": "/", "timeout_s": 5.0, "expect": {"contains": "0123456789"}}
    made = run(
        contract(f"https://localhost:{port}", [endpoint], target={"verify_tls": verify}), tmp_path, rate_rps=20.0,
        duration_s=0.5,
    )  # fmt: skip
    found = rows(made.directory)
    if verify:
        assert {row["outcome"] for row in found} == {"connect_error"} and made.exit == 4
        errors = pq.read_table(made.directory.path / "errors.parquet").to_pylist()
        assert "the certificate of localhost is not trusted" in errors[0]["excerpt"]
    else:
        assert {row["outcome"] for row in found} == {"ok"}
        assert all(row["bytes_in"] > len(BODY) for row in found)
        assert len({row["connect_ns"] for row in found}) < len(found)  # connections are used again
