"""Batches of requests, OpenAI's and Anthropic's."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, LargeBinary, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA, index_where_set

BATCHES = Table(
    "ls_batches",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("api", Text, nullable=False),  # openai or anthropic: whose shape its requests and answers have
    Column("endpoint", Text, nullable=False),
    Column("status", Text, nullable=False),  # as OpenAI names them
    Column("run", Text, nullable=False),  # the run that carries it out
    Column("idempotency_key", Text),
    Column("metadata", Text),  # a JSON object of strings
    Column("model", Text),  # the one that all its requests name
    Column("input_file", Text),
    Column("output_file", Text),
    Column("error_file", Text),
    Column("output_expires_after_s", BigInteger),
    Column("errors", Text),  # a JSON array: why it failed
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),  # what is not settled by then is not done any more
    Column("in_progress_at", Float(53)),
    Column("cancelling_at", Float(53)),
    Column("finalizing_at", Float(53)),
    Column("ended_at", Float(53)),
    Column("results_expire_at", Float(53)),  # when its lines go; NULL once they have
    Column("archived_at", Float(53)),  # when they went
    Column("removed_at", Float(53)),  # nobody sees it any more; it goes after its lines
    Column("total", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("errored", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("canceled", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
)
Index("ls_batches_by_owner", BATCHES.c.tenant, BATCHES.c.owner, BATCHES.c.api, BATCHES.c.created_at, BATCHES.c.id)
Index(
    "ls_batches_by_idempotency_key",
    BATCHES.c.tenant,
    BATCHES.c.owner,
    BATCHES.c.api,
    BATCHES.c.idempotency_key,
    unique=True,
)
Index("ls_batches_by_ended_at", BATCHES.c.ended_at, BATCHES.c.created_at)
index_where_set("ls_batches_by_results_expire_at", BATCHES.c.results_expire_at, set_=BATCHES.c.results_expire_at)
index_where_set("ls_batches_by_removed_at", BATCHES.c.removed_at, set_=BATCHES.c.removed_at)

BATCH_LINES = Table(
    "ls_batch_lines",
    METADATA,
    Column("batch", Text, ForeignKey("ls_batches.id", ondelete="CASCADE"), primary_key=True),
    Column("line", BigInteger, primary_key=True, autoincrement=False),  # from 0, in the order of the requests
    Column("custom_id", Text, nullable=False),
    Column("outcome", Text),  # NULL: not settled
    Column("status", Integer),  # the HTTP status of the answer; NULL: there was none
    Column("request_id", Text),
    Column("result", LargeBinary),  # the body of the answer
    Column("request", LargeBinary),  # the body of the request; NULL once it is settled
)
index_where_set("ls_batch_lines_unsettled", BATCH_LINES.c.batch, BATCH_LINES.c.line, set_=BATCH_LINES.c.request)
