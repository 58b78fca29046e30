"""Bedrock's addresses, its credentials, and its lists of models."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from llama_stack.dialects.converse.errors import error_of_reply
from llama_stack.dialects.converse.families import ANTHROPIC, foundation_of, vendor_of
from llama_stack.providers._shared.addresses import segment
from llama_stack.providers._shared.aws import AwsSigner
from llama_stack.providers._shared.bedrock_config import BedrockConfig
from llama_stack.providers._shared.bedrock_models import Listed, foundation_in, listed_models
from llama_stack.providers._shared.openai_compatible import Upstream
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    NotFound,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderUnreachable,
)
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext

SERVICE: Final = "bedrock"
PAGES_MAX: Final = 20
REMEMBERED_MAX: Final = 1024
"""Models of which something was found out."""
_PROFILE_OF_THE_ACCOUNT: Final = "application-inference-profile/"
_NEVER_CLAUDE: Final = ("imported-model/", "prompt-router/", "custom-model-deployment/")


class BedrockUpstream(Upstream):
    """Requests go out under a key of Bedrock's, or signed."""

    config: BedrockConfig

    def __init__(self, config: BedrockConfig, context: ProviderContext) -> None:
        self._region = config.region_name
        otherwise = ", or send aws_bearer_token_bedrock in X-LlamaStack-Provider-Data"
        self._signer = AwsSigner(config, context.provider_id, otherwise=otherwise)
        self._control_url = (config.control_url or config.base_url).rstrip("/") or self._regional("bedrock")
        self._listed: dict[str, Listed] = {}
        self._foundations: dict[str, str] = {}
        super().__init__(config, context)

    # --- models

    async def list_models(self, call: Call) -> list[ProviderModel]:
        if self.config.allowed_models is not None:
            named = [
                self._listed.get(model) or Listed(model, foundation_of(model)) for model in self.config.allowed_models
            ]
            return [shown for model in named if (shown := model.shown) is not None]
        models = await self._pages("/foundation-models", "modelSummaries", call)
        profiles = await self._pages("/inference-profiles?maxResults=1000", "inferenceProfileSummaries", call)
        found = listed_models(models, profiles)
        self._listed = {model.id: model for model in found}
        return [shown for model in found if model.id and (shown := model.shown) is not None]

    async def foundation(self, model: str, call: Call) -> str:
        """The foundation model that answers for a model; the id itself where its name says so, empty where nothing
        does. An inference profile of the account's is asked for, once."""
        if vendor_of(model):
            return foundation_of(model)
        if (listed := self._listed.get(model)) is not None:
            return listed.foundation
        if _PROFILE_OF_THE_ACCOUNT not in model:
            return ""
        if model not in self._foundations:
            if len(self._foundations) >= REMEMBERED_MAX:
                self._foundations.clear()
            found = await self._foundation_of_profile(model, call)
            if found is None:
                return ""
            self._foundations[model] = found
        return self._foundations[model]

    async def speaks_messages(self, model: str, call: Call) -> bool:
        """Whether a model is Claude, and called by its Messages API. What nothing tells a vendor of is taken to be
        Claude, save what cannot be."""
        if any(fnmatch.fnmatchcase(model, pattern) for pattern in self.config.converse_models):
            return False
        vendor = vendor_of(await self.foundation(model, call))
        return vendor == ANTHROPIC or (not vendor and not any(kind in model for kind in _NEVER_CLAUDE))

    def listed(self, model: str) -> Listed | None:
        """What the last listing said of a model."""
        return self._listed.get(model)

    async def _foundation_of_profile(self, model: str, call: Call) -> str | None:
        """Empty where the server may not look it up; None where that says nothing of the next call."""
        try:
            said = await self.get_json(f"{self._control_url}/inference-profiles/{_encoded(model)}", call)
        except ProviderUnreachable:
            return None
        except (InvalidRequest, NotFound, ProviderRejectedCredentials):
            # Who may call a profile need not be allowed to look at it.
            return None if self._key_in_data in call.provider_data else ""
        return foundation_in(said) if isinstance(said, dict) else ""

    async def _pages(self, path: str, member: str, call: Call) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = await self.get_json(f"{self._control_url}{path}{after}", call)
            entries = page.get(member) if isinstance(page, dict) else None
            if not isinstance(entries, list):
                raise ProviderError(f"Provider '{self.name}' answered with something that is not a list of models.")
            found += [entry for entry in entries if isinstance(entry, dict)]
            if not page.get("nextToken"):
                return found
            after = f"&nextToken={quote(str(page['nextToken']), safe='')}"
        raise ProviderError(f"Provider '{self.name}' has a list of models of more than {PAGES_MAX} pages.")

    # --- addresses and credentials

    @property
    def key_required(self) -> bool:
        return False  # without a key, requests are signed

    def rooted(self, url: str) -> str:
        return url.rstrip("/") or self._regional("bedrock-runtime")

    def model_url(self, model: str, operation: str, call: Call) -> str:
        return f"{self.base_url(call)}/model/{_encoded(model)}/{operation}"

    async def post(self, url: str, body: bytes, call: Call) -> HttpReply:
        headers = await self.authorized("POST", url, body, call)
        reply = await self._http.send("POST", url, headers=headers, body=body)
        if reply.status >= 300:
            raise await self._refusal(reply, headers)
        return reply

    async def get_json(self, url: str, call: Call) -> Any:
        headers = await self.authorized("GET", url, b"", call)
        reply = await self._http.send("GET", url, headers=headers)
        if reply.status >= 300:
            raise await self._refusal(reply, headers)
        return await self.decoded(reply)

    async def authorized(
        self, method: str, url: str, body: bytes, call: Call, more: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """The headers of exactly this request, with `more` among them."""
        headers = {**await self.headers(call), **(more or {})}
        if "Authorization" in headers:
            return headers
        if self._key_in_data in call.provider_data:
            # The machine's identity is no answer to a key that is empty.
            raise ProviderRejectedCredentials(f"'{self._key_in_data}' is empty.", code="upstream_key_missing")
        return await self._signer.signed(method, url, headers, body, service=SERVICE)

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        return error_of_reply(reply.status, reply.headers, await self._refused_with(reply, sent), self.name)

    def _regional(self, host: str) -> str:
        suffix = ".amazonaws.com.cn" if self._region.startswith("cn-") else ".amazonaws.com"
        return f"https://{host}.{self._region}{suffix}"


def _encoded(model: str) -> str:
    """What is signed must be what is sent: of an id's characters only the `/` of an ARN is encoded."""
    return segment(model, safe=":")
