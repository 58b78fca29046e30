"""What a start would pay for and most servers never use is not imported by it."""

import json
import subprocess
import sys

SERVER = "llama_stack.stack, llama_stack.storage.sql.sqlite, llama_stack.http.app, llama_stack.cli.runner.worker"
LATE = {
    "aiohttp",
    "alembic",
    "anthropic",
    "asyncpg",
    "cryptography",
    "fastapi",
    "httpx",
    "llama_stack_api.openai.responses.events",
    "mcp",
    "numpy",
    "openai",
    "redis",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
    "websockets",
}


def test_what_a_server_imports() -> None:
    code = f"import {SERVER}, json, sys; print(json.dumps(list(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert LATE.intersection(json.loads(printed)) == set()
