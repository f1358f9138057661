"""The base model's weights, read piece by piece into the memory in which they train."""
