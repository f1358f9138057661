"""The two arms: what every rank of `sft` and `preference` does."""
