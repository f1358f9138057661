"""The control plane: watches PaftJobs and brings about what the planner decides."""
