"""The health check of our images, as `python -P -m llama_stack.cli.healthcheck`: exit code 0 if the server answers.

The standard library alone is imported, since it runs every few seconds; there is no curl in the images.

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
