"""What runs in the pods: prepare, sft, preference and merge."""
