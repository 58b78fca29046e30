"""Which proxy, if any, a request goes through."""

from __future__ import annotations

from yarl import URL

from llama_stack.net.config import ProxyConfig


class ProxyTable:
    def __init__(self, proxy: ProxyConfig | None) -> None:
        self._by_scheme: dict[str, URL] = {}
        self._direct: tuple[str, ...] = ()
        if proxy is None:
            return
        for scheme, secret in (("http", proxy.http or proxy.url), ("https", proxy.https or proxy.url)):
            if secret is not None:
                self._by_scheme[scheme] = URL(secret.get_secret_value())
        self._direct = tuple(host.strip().lstrip(".").lower() for host in proxy.no_proxy)

    def __bool__(self) -> bool:
        return bool(self._by_scheme)

    def proxy_for(self, target: URL) -> URL | None:
        host = (target.host or "").lower()
        for direct in self._direct:
            if direct == "*" or host == direct or host.endswith("." + direct):
                return None
        return self._by_scheme.get(target.scheme)
