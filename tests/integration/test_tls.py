"""
A listener over TLS, which takes nothing but another endpoint string.
"""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.daemon import PATIENCE, Daemon, DaemonTestCase, receive

CONFIG = """
[[listeners]]
name = "poe"
wire = "poe"
listen = "ssl:0:interface=127.0.0.1:privateKey=key.pem:certKey=certificate.pem"
ack = true
max_connections = 2
{more}
"""


def certify(folder: Path) -> bytes:
    """
    Put a key, and a certificate that is signed with it, into a folder.

    @return: the certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    public = certificate.public_bytes(pem)
    (folder / "certificate.pem").write_bytes(public)
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public


class TLSTests(DaemonTestCase):
    """
    An Arduino that speaks TLS.
    """

    def launch(self, more: str = "") -> Daemon:
        """
        Start a daemon with a certificate of its own.
        """
        certify(self.folder)
        self.configure(CONFIG.format(more=more))
        return self.start()

    def secure(self, port: int) -> ssl.SSLSocket:
        """
        Connect, and shake hands.
        """
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        context.check_hostname = False
        made = context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE))
        self.addCleanup(made.close)
        return made

    def test_stored(self) -> None:
        """
        Frames are stored and acknowledged, and those of plain talkers beside them cost nothing.
        """
        daemon = self.launch()
        self.assertIn("poe: tls 127.0.0.1:", daemon.expect("poe: .*\n")[0])
        plain = self.connect(daemon.port("poe"))
        plain.sendall(bytes.fromhex("01ff0001") * 100)
        device = self.secure(daemon.port("poe"))
        device.sendall(bytes.fromhex("01ff0001") * 3)
        self.assertEqual(receive(device, 3), b"\x06" * 3)
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_plain(self) -> None:
        """
        The log tells of a device that does not know of TLS.
        """
        daemon = self.launch()
        plain = self.connect(daemon.port("poe"))
        plain.sendall(bytes.fromhex("01ff0001") * 2)
        self.assertEqual(plain.recv(1), b"")
        daemon.expect("poe: no TLS with 127.0.0.1: wrong version number")
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_tooMany(self) -> None:
        """
        Connections beyond the limit are refused without harm to the others.
        """
        daemon = self.launch()
        devices = [self.secure(daemon.port("poe")) for _ in range(2)]
        self.assertRaises(OSError, self.secure, daemon.port("poe"))
        for device in devices:
            device.sendall(bytes.fromhex("01ff0001"))
            self.assertEqual(receive(device, 1), b"\x06")
        self.assertEqual(daemon.end(), 0)
        self.assertQuiet(daemon)

    def test_notAllowed(self) -> None:
        """
        A peer of a network that is not allowed is refused.
        """
        daemon = self.launch('allow = ["10.0.0.0/8"]')
        self.assertRaises(OSError, self.secure, daemon.port("poe"))
        self.assertEqual(daemon.end(), 0)
        self.assertIn("its network is not allowed", daemon.log)
        self.assertQuiet(daemon)
