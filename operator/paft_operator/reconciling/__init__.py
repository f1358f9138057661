"""observe → plan → apply → status, once for each PaftJob that may have changed."""
