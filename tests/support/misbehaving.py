"""Servers on 127.0.0.1 that do what real ones do on a bad day."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import signal
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.test import override_settings

from tests.support.harness import free_port, require_program, wait_until

Talk = Callable[[socket.socket], None]
LOOPBACK = ipaddress.ip_address("127.0.0.1")


@contextlib.contextmanager
def server(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run ``talk`` with each connection, in a thread of its own; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve_one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            connections.append(connection)
            talk(connection)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            connection.close()


def http_answer(head: str, body: bytes = b"") -> Talk:
    """Answer any request with a status line and headers, and hang up."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        length = f"Content-Length: {len(body)}\r\n"
        connection.sendall(f"HTTP/1.1 {head}\r\n{length}\r\n".encode() + body)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    return talk


def silence(connection: socket.socket) -> None:
    """Accept, and say nothing until the other side hangs up."""
    while connection.recv(65536):
        pass


def reset_in_the_middle(connection: socket.socket) -> None:
    """Promise a body, send half of it, and reset the connection."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drip(connection: socket.socket) -> None:
    """Send a body byte by byte, each in time, never to the end."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    stop = threading.Event()
    while not stop.wait(0.05):
        connection.sendall(b"x")


_MAY_SIGN_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Certificates:
    """An authority, and certificates for 127.0.0.1 from it, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        own = (
            self._builder(self._name, self._key, days=10)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
        )
        own = own.add_extension(_MAY_SIGN_CERTIFICATES, critical=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._sign(own))

    def issue(self, name: str, *, days: int = 10) -> tuple[Path, Path]:
        """Return certificate and key; with negative ``days`` it ran out so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key, days=days).add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(LOOPBACK)]),
            critical=False,
        )
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert_file.write_bytes(self._sign(builder))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_file, key_file

    def context(self, name: str, *, days: int = 10, ask_client: bool = False) -> ssl.SSLContext:
        """Return a server's context with a certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, days=days))
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca_file)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=30))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(  # Python 3.13 insists on it
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )

    def _sign(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Redis:
    """A redis-server of its own, with a password, that can be stopped and started again.

    ``words`` are further ones of its command line.
    """

    password = "pa55word"

    def __init__(self, folder: Path, *words: str) -> None:
        self._program = require_program("redis-server", "redis-server")
        self._folder = folder
        self._words = words
        self.port = free_port()
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers: by then each of its sockets is open."""
        self._process = subprocess.Popen(self._argv(), stdout=subprocess.DEVNULL)

        def answers() -> bool:
            address = ("127.0.0.1", self.port)
            with contextlib.suppress(OSError), socket.create_connection(address, 1) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(1))
            return False

        wait_until(answers, "redis-server")

    def _argv(self) -> list[str]:
        argv = [self._program, "--port", str(self.port), "--bind", "127.0.0.1"]
        argv += ["--requirepass", self.password, "--save", "", "--dir", str(self._folder)]
        return [*argv, *self._words]

    def freeze(self) -> None:
        """Let it answer nothing until its end, while its connections stand."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it, without a word to its clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class Sentinel(Redis):
    """A Redis Sentinel that watches ``redis`` by the name of ``service``."""

    def __init__(self, folder: Path, redis: Redis, service: str) -> None:
        super().__init__(folder)
        self._configuration = folder / "sentinel.conf"
        self._configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nrequirepass {self.password}\n"
            f"sentinel monitor {service} 127.0.0.1 {redis.port} 1\n"
            f"sentinel auth-pass {service} {redis.password}\n"
            f"sentinel down-after-milliseconds {service} 500\n"
        )

    def _argv(self) -> list[str]:
        return [self._program, str(self._configuration), "--sentinel"]


@contextlib.contextmanager
def redis_cache(redis: Redis) -> Iterator[None]:
    """Make a Redis the cache of this process, with time limits as a cache should have."""
    cache = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis.url,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
    with override_settings(CACHES={"default": cache}):
        yield
