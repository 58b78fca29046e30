"""Where a tool may look: `allowed_domains` or `blocked_domains`, which may name paths too (`example.com/blog`)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from llama_stack.net.domains import domain_of, host_of
from llama_stack.services.messages.chat import Json
from llama_stack_api.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Domains:
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @classmethod
    def of(cls, tool: Json) -> Domains:
        """`InvalidRequest` for a tool with both."""
        allowed, blocked = (tuple(tool.get(name) or ()) for name in ("allowed_domains", "blocked_domains"))
        if allowed and blocked:
            raise InvalidRequest("A tool has either 'allowed_domains' or 'blocked_domains', not both.", param="tools")
        return cls(allowed, blocked)

    def admit(self, url: str) -> bool:
        if any(_is_of(url, domain) for domain in self.blocked):
            return False
        return not self.allowed or any(_is_of(url, domain) for domain in self.allowed)


def _is_of(url: str, domain: str) -> bool:
    host, wanted = host_of(url), domain_of(domain)
    if host != wanted and not host.endswith(f".{wanted}"):
        return False
    _, _, path = domain.partition("://")[2].partition("/") if "://" in domain else domain.partition("/")
    return urlsplit(url).path.startswith(f"/{path}") if path else True
