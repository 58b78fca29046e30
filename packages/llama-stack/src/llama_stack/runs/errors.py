"""What a run raises beyond the common tree.

LlamaStackError
├── Conflict
│   └── Fenced             409 … run_fenced: the run was taken over, cancelled, deleted or has ended
├── NotFound
│   └── EventsExpired      404 … events_expired: the run is there, its events are kept no longer
├── InvalidRequest
│   └── RunLimitExceeded   400 … run_limit_exceeded: names the setting
├── StepFailed             500 server_error, and the code that the step failed with
└── StepInterrupted        500 … step_interrupted: in flight at a crash, and not to be repeated
"""

from __future__ import annotations

from llama_stack.runs.model import RunError
from llama_stack_api.errors import Conflict, InvalidRequest, LlamaStackError, NotFound


class Fenced(Conflict):
    default_code = "run_fenced"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the run {run_id} is no longer this worker's: it was taken over, cancelled or has ended")
        self.run_id = run_id


class EventsExpired(NotFound):
    default_code = "events_expired"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the events of {run_id} are not kept any longer; its result is there")


class RunLimitExceeded(InvalidRequest):
    default_code = "run_limit_exceeded"


class StepFailed(LlamaStackError):
    """The step failed, now or before a crash: it is not tried again."""

    default_code = "step_failed"

    def __init__(self, failure: RunError) -> None:
        super().__init__(failure.message, code=failure.code, param=failure.param)
        self.failure = failure


class StepInterrupted(LlamaStackError):
    """The step was in flight when its worker died. It may or may not have had its effect, so it is not repeated."""

    default_code = "step_interrupted"

    def __init__(self, key: str) -> None:
        super().__init__(f"the step {key} was interrupted by a crash of the server and is not repeated")
        self.key = key
