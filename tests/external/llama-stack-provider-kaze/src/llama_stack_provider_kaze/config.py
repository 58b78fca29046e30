from pydantic import BaseModel


class KazeConfig(BaseModel):
    winds: dict[str, str]
    model: str | None = None
