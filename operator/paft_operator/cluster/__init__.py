"""Reading from and writing to a Kubernetes API server."""
