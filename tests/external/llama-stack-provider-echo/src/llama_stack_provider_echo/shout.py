"""Says what it is told, louder. Not an entry point: a run config names it by `module:`."""

from llama_stack_api.api import Api
from llama_stack_api.provider import provider
from llama_stack_provider_echo.echo import Echo, EchoConfig


@provider(api=Api.inference, type="inline::shout", description="Says it louder.", config=EchoConfig)
class Shout(Echo):
    def answer(self, said: str) -> str:
        return super().answer(said).upper()
