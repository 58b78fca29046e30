"""Where a tool may look: `allowed_domains` or `blocked_domains`, which may name paths too (`example.com/blog`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from yarl import URL

from llama_stack.net.domains import domain_of, host_of
from llama_stack.services.messages.chat import Json
from llama_stack_api.errors import InvalidRequest

DOMAINS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Domains:
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @classmethod
    def of(cls, tool: Json) -> Domains:
        """`InvalidRequest` for a tool with both, or too many."""
        allowed, blocked = (tuple(tool.get(name) or ()) for name in ("allowed_domains", "blocked_domains"))
        if allowed and blocked:
            raise InvalidRequest("A tool has either 'allowed_domains' or 'blocked_domains', not both.", param="tools")
        if len(allowed) + len(blocked) > DOMAINS_MAX:
            raise InvalidRequest(f"A tool names at most {DOMAINS_MAX} domains.", param="tools")
        return cls(allowed, blocked)

    def admit(self, url: str) -> bool:
        if any(_is_of(url, domain) for domain in self.blocked):
            return False
        return not self.allowed or any(_is_of(url, domain) for domain in self.allowed)


def _is_of(url: str, domain: str) -> bool:
    host, wanted = host_of(url), domain_of(domain)
    if host != wanted and not host.endswith(f".{wanted}"):
        return False
    under = domain.rpartition("://")[2].partition("/")[2].strip("/")
    # As it is asked for: without `..`, and without escapes that are none.
    return _is_under(URL(url).path, f"/{under}") if under else True


def _is_under(path: str, under: str) -> bool:
    head, wildcard, tail = under.partition("*")
    if wildcard:
        return path.startswith(head) and tail in path[len(head) :]
    return path == under or path.startswith(f"{under}/")
