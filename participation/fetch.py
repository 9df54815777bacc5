"""The one way out: asking another server, named by the operator, for JSON.

An address that somebody else can influence must never lead into our own network. So every name is resolved once, every
address it stands for is judged, and the connection goes to exactly the address that was judged. Redirects are refused.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_SECONDS = 5
LARGEST_ANSWER = 1024 * 1024
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchError(Exception):
    """The other server can't be asked, or its answer can't be used. The text is for the log."""


def is_public(address: str) -> bool:
    """Whether an IP address lies in the open internet: no loopback, no private or link-local network, in any spelling."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False
    return ip.is_global and not ip.is_multicast


def _judged_address(host: str, port: int, *, allow_private: bool) -> str:
    """An address of the host. Raises FetchError when any of its addresses is not public."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        message = f"{host} can't be resolved"
        raise FetchError(message) from error
    if not allow_private and not all(is_public(address) for address in found):
        message = f"{host} is in a private network"
        raise FetchError(message)
    # Not every machine has a way out by IPv6.
    return min(found, key=lambda address: (":" in address, address))


class _Plain(http.client.HTTPConnection):
    """A connection to an address that was judged before."""

    address = ""

    def connect(self) -> None:
        """Connect to the address, not to whatever the name means by now."""
        self.sock = socket.create_connection((self.address, self.port), TIMEOUT_SECONDS)


class _Secure(http.client.HTTPSConnection):
    """The same with TLS, whose certificate must be for the name."""

    address = ""

    def connect(self) -> None:
        """Connect to the address; speak TLS with the name."""
        plain = socket.create_connection((self.address, self.port), TIMEOUT_SECONDS)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)


def fetch_json(
    url: str, *, form: dict[str, str] | None = None, headers: dict[str, str] | None = None, allow_private: bool = False
) -> dict[str, Any]:
    """GET, or POST a form; returns the JSON object of the answer.

    `allow_private` is for development only: it admits http and private addresses. Raises FetchError.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        message = "only https is asked"
        raise FetchError(message)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        message = "the port can't be read"
        raise FetchError(message) from error
    connection = (_Secure if parts.scheme == "https" else _Plain)(host, port, timeout=TIMEOUT_SECONDS)
    connection.address = _judged_address(host, port, allow_private=allow_private)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Accept": "application/json", **(headers or {})}
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request("GET" if form is None else "POST", target, urlencode(form) if form is not None else None, sent)
        answer = connection.getresponse()
        body = answer.read(LARGEST_ANSWER + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"{host} does not answer ({type(error).__name__})"
        raise FetchError(message) from error
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) > LARGEST_ANSWER:
        message = f"{host} answered {answer.status}, {len(body)} bytes"
        raise FetchError(message)
    try:
        content = json.loads(body)
    except ValueError as error:
        message = f"{host} did not answer JSON"
        raise FetchError(message) from error
    if not isinstance(content, dict):
        message = f"{host} did not answer an object"
        raise FetchError(message)
    return content
