"""Running a PaftJob on this machine: the planner's actions as processes, and their state as files."""
