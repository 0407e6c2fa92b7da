"""
How a broker is reached, plainly or by TLS with certificates from files; and what it means when that
fails, or when the broker says why it does not go on.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL.crypto import Error as CryptoError
from OpenSSL.SSL import Error as TLSError
from OpenSSL.SSL import SysCallError, ZeroReturnError
from paho.mqtt.reasoncodes import ReasonCode
from service_identity import VerificationError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import ISSLTransport, IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure

from sensord.brokers import FINAL, BrokerSettings, Denied, Unavailable, place

#: Seconds that each address of a broker has for taking a connection.
_CONNECT = 10.0

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def endpoint(reactor: Any, settings: BrokerSettings) -> IStreamClientEndpoint:
    """
    The endpoint of a broker. Certificates are read each time, since they are renewed.

    @raise Denied: if they cannot be.
    """
    where = place(settings.broker)
    plain = HostnameEndpoint(reactor, where.host, where.port, timeout=_CONNECT)
    if where.kind == "tcp":
        return plain
    trust, ours = platformTrust(), None
    if settings.ca:
        certificates = _read(settings.ca, _certificates)
        trust = trustRootFromCertificates(certificates)
    if settings.cert:
        key = _read(settings.key, lambda data: data)
        ours = _read(settings.cert, lambda data: PrivateCertificate.loadPEM(data + b"\n" + key))
    return wrapClientTLS(
        optionsForClientTLS(where.host, trustRoot=trust, clientCertificate=ours), plain
    )


def ending(reason: Failure) -> Exception:
    """
    Why a connection ended about which nobody said anything. What comes of TLS has to be dealt with
    by somebody: a certificate, or a port that does not speak it.
    """
    if reason.check(SysCallError, ZeroReturnError) or not reason.check(TLSError, VerificationError):
        return Unavailable("the connection was closed")
    error: Any = reason.value
    try:
        return Denied(f"TLS: {error.args[0][-1][-1]}")
    except (IndexError, TypeError):
        return Denied(f"TLS: {error}")


def verdict(code: ReasonCode, before: str) -> Exception:
    """
    What a reason of the broker amounts to.
    """
    why = before + words(code)
    return Denied(why, code.value) if code.value in FINAL else Unavailable(why)


def words(code: ReasonCode) -> str:
    """
    A reason, as people read it.
    """
    return str(code.getName()).lower()


def part(transport: Any) -> None:
    """
    Close a connection of which the broker knows that it is over. It is for the broker to do so: if
    we did while it speaks, the system would take back what it has not read, and it would say again
    what we have confirmed. With TLS there is no closing by half.
    """
    if ISSLTransport.providedBy(transport):
        transport.loseConnection()
    else:
        transport.resumeProducing()
        transport.loseWriteConnection()


def _certificates(data: bytes) -> list[Certificate]:
    found = _PEM.findall(data)
    if not found:
        raise ValueError("there is none")
    return [Certificate.loadPEM(pem) for pem in found]


def _read(path: str, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(Path(path).read_bytes())
    except OSError as error:
        raise Denied(f"{path}: {error.strerror}") from error
    except (ValueError, CryptoError, TLSError) as error:
        raise Denied(f"{path}: no certificate with which anything can be done") from error
