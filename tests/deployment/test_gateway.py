"""The gateway lets the Fleet API and health pass, in no other spelling, and trusts its own SuperLink alone."""

import http.client
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scenarios.deployment.init import initialise

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIG = Path(__file__).parents[2] / "scenarios" / "deployment" / "image" / "nginx.conf"
HEADERS = {"x-signature": "of a node", "content-type": "application/protobuf"}

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx; install nginx-light")


class Recorder(BaseHTTPRequestHandler):
    """Says nothing, and remembers what arrived."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.arrived.append((self.path, self.headers.get("x-signature"), body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    return initialise(tmp_path_factory.mktemp("gateway") / "mine", sites=1)


@contextmanager
def server(layout):
    """A server with a deployment's certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as found:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(layout.certificate, layout.certificate_key)
        found.socket = context.wrap_socket(found.socket, server_side=True)
        found.arrived = []
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@contextmanager
def gateway(layout, behind, folder):
    """The port of a gateway before a server."""
    port = free_port()
    text = CONFIG.read_text(encoding="utf-8").replace("listen 8443", f"listen 127.0.0.1:{port}")
    text = text.replace("/tmp/", f"{folder}/").replace("/run/secrets/ca.crt", str(layout.ca))
    text = text.replace("/run/secrets/", f"{layout.certificate.parent}/")
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    (folder / "superlink.conf").write_text(f"set $superlink 127.0.0.1:{behind.server_port};\n", encoding="utf-8")
    command = [NGINX, "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 30
        while not listens(port) and time.monotonic() < until:
            time.sleep(0.05)
        yield port
        process.terminate()


@pytest.fixture(scope="module")
def superlink(layout):
    with server(layout) as found:
        yield found


@pytest.fixture(scope="module")
def port(layout, superlink, tmp_path_factory):
    with gateway(layout, superlink, tmp_path_factory.mktemp("nginx")) as port:
        yield port


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listens(port):
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def ask(layout, port, path, body=b""):
    """The status of a request whose path is sent as it is."""
    context = ssl.create_default_context(cafile=layout.ca)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("POST", path, body=body, headers=HEADERS)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/health", "/v1/fleet/pull-messages"])
def test_the_fleet_api_passes_with_headers_and_body_as_they_were(layout, superlink, port, path):
    superlink.arrived.clear()
    assert ask(layout, port, path, b"\x00\x01") == 200
    assert superlink.arrived == [(path, "of a node", b"\x00\x01")]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/..%2fcontrol/start-run",
        "/v1/control/start-run/../../fleet/pull-messages",
        "/v1/control/start-run%23/../../../v1/fleet/x",
        "//v1/control/start-run",
        "/%76%31/control/start-run",
        "/v1/fleet/pull-messages?x=/v1/control/start-run",
        "/V1/CONTROL/start-run",
        "/health/../v1/control/start-run",
    ],
)
def test_nothing_else_passes(layout, superlink, port, path):
    superlink.arrived.clear()
    assert ask(layout, port, path) == 404
    assert superlink.arrived == []


def test_a_superlink_with_a_certificate_of_another_authority_is_not_trusted(layout, tmp_path):
    with server(initialise(tmp_path / "other", sites=1)) as other, gateway(layout, other, tmp_path) as port:
        assert ask(layout, port, "/health") == 502
        assert other.arrived == []
