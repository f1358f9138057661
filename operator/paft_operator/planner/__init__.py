"""What should happen next to a PaftJob: pure decisions, in a cluster and on one machine alike."""
