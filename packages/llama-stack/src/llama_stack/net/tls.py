"""TLS settings to an `ssl.SSLContext`."""

from __future__ import annotations

import ssl

from llama_stack.net.config import NetworkConfig

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def ssl_context(network: NetworkConfig) -> ssl.SSLContext | bool:
    """True (aiohttp's shared default context) where nothing was configured."""
    tls = network.tls
    cacert = network.proxy.cacert if network.proxy else None
    if tls is None and cacert is None:
        return True
    context = ssl.create_default_context()
    if cacert is not None:
        context.load_verify_locations(cafile=str(cacert))
    if tls is None:
        return context
    if tls.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.verify is not True:
        context.load_verify_locations(cafile=str(tls.verify))
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.ciphers:
        context.set_ciphers(":".join(tls.ciphers))
    if tls.client_cert is not None:
        context.load_cert_chain(str(tls.client_cert), str(tls.client_key))
    return context
