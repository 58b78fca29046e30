"""Checkpoints of a training run."""

from __future__ import annotations

from datetime import datetime

from llama_stack_api.base import WireModel


class PostTrainingMetric(WireModel):
    epoch: int
    train_loss: float
    validation_loss: float
    perplexity: float


class Checkpoint(WireModel):
    identifier: str
    created_at: datetime
    epoch: int
    post_training_job_id: str
    path: str
    training_metrics: PostTrainingMetric | None = None
