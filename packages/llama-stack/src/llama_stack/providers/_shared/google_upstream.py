"""A remote provider at Google: an API key in a header of Google's own, or a token of OAuth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import SecretStr

from llama_stack.dialects.gemini.errors import error_of_reply
from llama_stack.providers._shared.cloud_files import check_cloud_files
from llama_stack.providers._shared.openai_compatible import MODEL_ID_CHARS_MAX, OpenAICompatibleConfig, Upstream
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.errors import LlamaStackError, ModelNotFound, ProviderError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext

KEY_HEADER, PROJECT_HEADER = "x-goog-api-key", "x-goog-user-project"
PAGES_MAX = 20
_BEARER = "Bearer "
_NAME = re.compile(r"[\w@.-]+(/[\w@.-]+)*", re.ASCII)


class GoogleConfig(OpenAICompatibleConfig):
    access_token: SecretStr | None = None
    """A token of OAuth, in the place of `api_key`. It is not renewed."""
    project: str | None = None
    """The Google Cloud project to which calls are counted."""
    allow_cloud_files: bool = False
    """Whether a request may name files and context caches of the account (`gs://…`, `files/…`, `cached_content`), which
    the model reads with the configured credentials. With credentials of its own it always may."""


class GoogleUpstream(Upstream):
    """A request carries what the call brought, else what is configured: of each, the key before the token."""

    quirks: ClassVar[Quirks] = Quirks(key_header=KEY_HEADER, key_prefix="")

    def __init__(self, config: GoogleConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._token = config.access_token
        self._allow_cloud_files = config.allow_cloud_files
        self._in_data = {field: key for key, field in self.__provider__.data_keys.items()}

    @property
    def key_required(self) -> bool:
        return self._token is None

    async def headers(self, call: Call) -> Mapping[str, str]:
        if self._key_in_data not in call.provider_data:
            token = call.provider_data.get(self._in_data.get("access_token", ""), self._token)
            if token is not None:
                return self.headers_with_token(token, self.billed(call))
        return await super().headers(call)

    def headers_with_token(self, token: SecretStr, project: str | None) -> dict[str, str]:
        value = self.printable(token.get_secret_value().strip())
        headers = {**self.headers_with(None), "Authorization": f"{_BEARER}{value}"}
        return {**headers, PROJECT_HEADER: self.printable(project)} if project else headers

    def billed(self, call: Call) -> str | None:
        """The project to which a call with a token is counted, where its address does not say."""
        return self.named(call, "project")

    def named(self, call: Call, field: str) -> str | None:
        """A field of the config, or what the call says in its place."""
        said = call.provider_data.get(self._in_data.get(field, ""))
        value = getattr(self.config, field) if said is None else said.get_secret_value().strip()
        return value or None

    def check_kept_files(self, named: Iterable[str], call: Call) -> None:
        allowed = self._allow_cloud_files
        check_cloud_files(named, call, allowed=allowed, provider=self.name, descriptor=self.__provider__)

    def checked_name(self, model: str) -> str:
        """A model's name, which becomes a path: `ModelNotFound` for what would lead elsewhere."""
        if len(model) > MODEL_ID_CHARS_MAX or ".." in model or not _NAME.fullmatch(model):
            raise ModelNotFound(f"Provider '{self.name}' has no model {model[:100]!r}.", param="model")
        return model

    async def paged(self, url: str, member: str, call: Call) -> Any:
        """All entries of a list that Google gives in pages; what is no list, as it came. `url` has a query."""
        found: list[Any] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = await self.get_json(url + after, call)
            if not isinstance(page, dict) or not isinstance(page.get(member, []), list):
                return None
            found += page.get(member, [])
            if not page.get("nextPageToken"):
                return found
            after = f"&pageToken={quote(str(page['nextPageToken']), safe='')}"
        raise ProviderError(f"Provider '{self.name}' lists its models in more than {PAGES_MAX} pages.")

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        return error_of_reply(reply.status, reply.headers, await self._refused_with(reply, sent), self.name)

    def _key_in(self, sent: Mapping[str, str]) -> list[str]:
        token = sent.get("Authorization", "").removeprefix(_BEARER)
        return [*super()._key_in(sent), *([token] if token else [])]
