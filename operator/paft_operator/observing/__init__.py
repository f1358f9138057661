"""From what the API server says of a PaftJob's objects to what the planner sees: pure."""
