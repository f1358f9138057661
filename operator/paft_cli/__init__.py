"""The `paft` command."""
