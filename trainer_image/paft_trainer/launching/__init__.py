"""The container's entry point: it starts a stage or an arm's ranks, watches them, and tells how they ended."""
