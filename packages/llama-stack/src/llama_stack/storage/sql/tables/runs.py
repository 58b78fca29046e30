"""The journal of runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, Table, Text

from llama_stack.storage.sql.tables.metadata import METADATA, index_where_set

RUNS = Table(
    "ls_runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("background", Boolean, nullable=False),
    Column("parent", Text),
    Column("idempotency_key", Text),
    Column("fence", BigInteger, nullable=False),  # grows with each change of hands; whoever has an older one is stale
    Column("attempts", Integer, nullable=False),
    Column("holder", Text),  # the worker that has the lease
    Column("ready_at", Float(53)),  # when a worker may claim it: its start, or the end of its lease; NULL once ended
    Column("created_at", Float(53), nullable=False),
    Column("updated_at", Float(53), nullable=False),
    Column("started_at", Float(53)),
    Column("ended_at", Float(53)),
    Column("expires_at", Float(53)),
    Column("error", Text),  # a JSON object with code and message
    Column("label", Text),  # what its kind finds it by; a response's is its model
    Column("hidden_at", Float(53)),  # deleted or expired, and still what others go on from
    Column("events_expire_at", Float(53)),  # when its log goes before it does; NULL once that is done
    Column("events_expired", Boolean),  # TRUE: the log is gone
)
Index(
    "ls_runs_by_idempotency_key",
    RUNS.c.tenant,
    RUNS.c.owner,
    RUNS.c.kind,
    RUNS.c.idempotency_key,
    unique=True,
)
Index("ls_runs_by_created_at", RUNS.c.tenant, RUNS.c.owner, RUNS.c.kind, RUNS.c.created_at, RUNS.c.id)
Index("ls_runs_by_ready_at", RUNS.c.ready_at)
Index("ls_runs_by_holder", RUNS.c.holder)
Index("ls_runs_by_status", RUNS.c.tenant, RUNS.c.status)
Index("ls_runs_by_expires_at", RUNS.c.expires_at)
index_where_set("ls_runs_by_tenant_ready_at", RUNS.c.tenant, RUNS.c.ready_at, set_=RUNS.c.ready_at)
index_where_set("ls_runs_by_parent", RUNS.c.parent, set_=RUNS.c.parent)
index_where_set(
    "ls_runs_by_label",
    RUNS.c.tenant,
    RUNS.c.owner,
    RUNS.c.kind,
    RUNS.c.label,
    RUNS.c.created_at,
    RUNS.c.id,
    set_=RUNS.c.label,
)
index_where_set("ls_runs_by_events_expire_at", RUNS.c.events_expire_at, set_=RUNS.c.events_expire_at)

_OF_RUN = "ls_runs.id"

RUN_DOCUMENTS = Table(  # apart from the row that each lease and status rewrites: a payload may be a whole conversation
    "ls_run_documents",
    METADATA,
    Column("run", Text, ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),  # payload, result, or what its kind calls a further one
    Column("body", LargeBinary, nullable=False),
)

RUN_STEPS = Table(
    "ls_run_steps",
    METADATA,
    Column("run", Text, ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("idempotent", Boolean, nullable=False),
    Column("intent", LargeBinary, nullable=False),
    Column("result", LargeBinary),
    Column("fence", BigInteger, nullable=False),
    Column("started_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
)

RUN_EVENTS = Table(
    "ls_run_events",
    METADATA,
    Column("run", Text, ForeignKey(_OF_RUN, ondelete="CASCADE"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # MessagePack: an array of the events `first` to `last`
)
