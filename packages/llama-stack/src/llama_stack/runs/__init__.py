"""The run journal: runs, their steps and numbered events, and the workers that execute them. See docs/runs.md."""
