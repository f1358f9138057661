"""Training data: rows, their form, and what becomes of them as tokens."""
