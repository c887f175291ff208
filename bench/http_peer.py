"""twisted.web as it is out of the box: `python -m bench.http_peer PORT TLS_PORT FOLDER CERTIFICATE KEY`, files of a folder."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor, ssl
from twisted.web.server import Site
from twisted.web.static import File


def main(port: str, tls_port: str, folder: str, certificate: str, key: str) -> None:
    around: Any = reactor
    site: Any = Site(File(folder))
    around.listenTCP(int(port), site, interface="127.0.0.1")
    context: Any = ssl.DefaultOpenSSLContextFactory(key, certificate)
    around.listenSSL(int(tls_port), site, context, interface="127.0.0.1")
    around.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
