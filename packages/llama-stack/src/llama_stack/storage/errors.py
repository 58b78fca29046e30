"""What a store raises beyond the common tree.

LlamaStackError
├── StoreUnavailable   503 server_error, store_unavailable: the database is away, stalled or closed
├── StoreInUse         500 … store_in_use: another process serves this SQLite file
├── StoreRefused       500 … store_refused: the path, its schema or its tables are not ours to use
└── Conflict
    └── NotACounter    409 … not_a_counter: `add` on a value that is not a whole number of 64 bits
"""

from __future__ import annotations

from llama_stack_api.errors import Conflict, LlamaStackError


class StoreUnavailable(LlamaStackError):
    status = 503
    type = "server_error"
    default_code = "store_unavailable"


class StoreInUse(LlamaStackError):
    default_code = "store_in_use"


class StoreRefused(LlamaStackError):
    default_code = "store_refused"


class NotACounter(Conflict):
    default_code = "not_a_counter"
