"""The image's health check: exit code 0 if the server answers on /v1/health. Standard library alone; there is no curl.

A server with TLS is asked without looking at its certificate, which names the server by another name than 127.0.0.1.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys

TIMEOUT_S = 4.0


def main() -> int:
    port = int(os.environ.get("LLAMA_STACK_PORT") or 8321)
    try:
        return _status(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S))
    except (http.client.HTTPException, ConnectionError):
        pass
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return _status(http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context))
    except (http.client.HTTPException, OSError) as error:
        sys.stderr.write(f"127.0.0.1:{port} does not answer: {error}\n")
        return 1


def _status(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/v1/health")
    return 0 if connection.getresponse().status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
