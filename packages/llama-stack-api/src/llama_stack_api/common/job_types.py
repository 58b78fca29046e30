"""Work that goes on after its request was answered."""

from __future__ import annotations

from enum import StrEnum

from llama_stack_api.base import WireModel


class JobStatus(StrEnum):
    completed = "completed"
    in_progress = "in_progress"
    failed = "failed"
    scheduled = "scheduled"
    cancelled = "cancelled"


class Job(WireModel):
    job_id: str
    status: JobStatus
