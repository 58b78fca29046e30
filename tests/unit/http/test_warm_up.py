from __future__ import annotations

import subprocess
import sys

# In a process of its own: in this one other tests have built the types.
SCRIPT = """
import asyncio
import sys
from llama_stack.http.warm_up import HOT_TYPES, LATER, LATER_S, warm_up
assert not any(hot.__pydantic_complete__ for hot in HOT_TYPES)
loop = asyncio.new_event_loop()
warm_up(loop)
assert not any(hot.__pydantic_complete__ for hot in HOT_TYPES)
loop.run_until_complete(asyncio.sleep(0))
assert all(hot.__pydantic_complete__ for hot in HOT_TYPES)
assert LATER not in sys.modules
loop.run_until_complete(asyncio.sleep(LATER_S))
loop.run_until_complete(loop.shutdown_default_executor())
assert LATER in sys.modules
loop.close()
"""


def test_the_hot_types_are_built_once_the_loop_turns_and_not_before() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=30)
