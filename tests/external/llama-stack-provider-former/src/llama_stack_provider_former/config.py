from typing import Any

from pydantic import BaseModel, SecretStr


class NoConfig(BaseModel):
    pass


class InferenceConfig(BaseModel):
    voice: str = "plain"

    @classmethod
    def sample_run_config(cls, __distro_dir__: str = "", **kwargs: Any) -> dict[str, Any]:
        return {"voice": "${env.FORMER_VOICE:=plain}"}


class FormerProviderData(BaseModel):
    former_voice: SecretStr


class GuardConfig(BaseModel):
    model: str


class FilesConfig(BaseModel):
    storage_dir: str
