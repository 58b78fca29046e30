"""Amazon Bedrock, under AWS's signature or an API key of Bedrock's.

Claude              the Messages API, by InvokeModel: messages pass as they are, chat is translated to them
all other chat      Converse and ConverseStream, to which chat is translated (`dialects/converse`)
embeddings, rerank  InvokeModel, in the words of each family
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llama_stack.dialects.anthropic.to_messages import messages_request
from llama_stack.dialects.converse.families import traits_of
from llama_stack.providers._shared.bedrock_config import BedrockConfig
from llama_stack.providers._shared.bedrock_converse import ConverseUpstream
from llama_stack.providers._shared.bedrock_embeddings import InvokedEmbeddings
from llama_stack.providers._shared.bedrock_messages import ClaudeOnBedrock
from llama_stack.providers._shared.bedrock_rerank import InvokedRerank
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest, Message

__all__ = ["Bedrock", "BedrockConfig"]


@provider(
    api=Api.inference,
    type="remote::bedrock",
    description="Amazon Bedrock: Claude by its Messages API, the chat models of all other vendors by Converse, "
    "embeddings and rerank. Listed are the models that can be called on demand and the inference profiles of the "
    "account; others are called by their ids or ARNs when allowed_models names them.",
    config=BedrockConfig,
    sample={
        "region_name": "${env.AWS_DEFAULT_REGION:=us-east-1}",
        "api_key": "${env.AWS_BEARER_TOKEN_BEDROCK:=}",
        "aws_access_key_id": "${env.AWS_ACCESS_KEY_ID:=}",
        "aws_secret_access_key": "${env.AWS_SECRET_ACCESS_KEY:=}",
        "aws_session_token": "${env.AWS_SESSION_TOKEN:=}",
        "profile_name": "${env.AWS_PROFILE:=}",
    },
    turned_on_by="AWS_BEARER_TOKEN_BEDROCK",
    data_keys={"aws_bearer_token_bedrock": "api_key"},
    pip_packages=("boto3>=1.40,<2",),
)
class Bedrock(ConverseUpstream, ClaudeOnBedrock, InvokedEmbeddings, InvokedRerank):
    takes_image_urls: ClassVar[bool] = False
    """Bedrock fetches nothing: images come as bytes, or lie in S3."""

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        if await self.speaks_messages(params.model, call):
            return await super().openai_chat_completion(params, call)
        return await self.converse(params, call)

    async def anthropic_messages(
        self, params: CreateMessageRequest, call: Call
    ) -> EncodedReply[Message] | EncodedStream:
        await self._check_messages(params.model, call)
        return await super().anthropic_messages(params, call)

    async def anthropic_count_tokens(self, params: CountTokensRequest, call: Call) -> int:
        await self._check_messages(params.model, call)
        return await super().anthropic_count_tokens(params, call)

    async def count_chat_tokens(self, params: ChatCompletionRequest, call: Call) -> int:
        if await self.speaks_messages(params.model, call):
            chat = params.model_dump(mode="json", exclude_unset=True)
            request = messages_request(chat, max_tokens=1)
            return await self.count_message(request, params.model, call)
        counted = await self.count_by_converse(params, call)
        if counted is None:
            raise NotImplementedByProvider(f"Bedrock counts no tokens of '{params.model}'.", param="model")
        return counted

    async def takes_tools(self, model: str, call: Call) -> bool:
        return traits_of(await self.foundation(model, call)).tools

    async def _check_messages(self, model: str, call: Call) -> None:
        if not await self.speaks_messages(model, call):
            raise NotImplementedByProvider(
                f"Provider '{self.name}': '{model}' is no model that speaks Anthropic's Messages API.", param="model"
            )
