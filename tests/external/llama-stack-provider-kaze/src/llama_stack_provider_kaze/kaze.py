from typing import Any

from llama_stack_api_weather.weather import Wind

from llama_stack_api import Api, OpenAIChatCompletionRequestWithExtraBody, OpenAIUserMessageParam
from llama_stack_provider_kaze.config import KazeConfig


class Kaze:
    def __init__(self, config: KazeConfig, deps: dict[Any, Any]) -> None:
        self.config = config
        self.inference = deps[Api.inference]

    async def locations(self) -> list[str]:
        return sorted(self.config.winds)

    async def wind(self, place: str) -> Wind:
        if place not in self.config.winds:
            raise ValueError(f"Nobody measures at {place}.")
        return Wind(place=place, name=self.config.winds[place], told=await self.told(place))

    async def told(self, place: str) -> str | None:
        if self.config.model is None:
            return None
        ask = OpenAIUserMessageParam(role="user", content=f"Describe the wind of {place}.")
        params = OpenAIChatCompletionRequestWithExtraBody(model=self.config.model, messages=[ask], stream=True)
        chunks = await self.inference.openai_chat_completion(params)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
