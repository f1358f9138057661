"""The control plane: what should happen next to a PaftJob."""
