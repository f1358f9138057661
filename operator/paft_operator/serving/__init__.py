"""What the operator tells of itself: probes, metrics and logs."""
