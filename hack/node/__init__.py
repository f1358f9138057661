"""A real Kubernetes node in namespaces of its own, with a control plane; see CONTRIBUTING.md."""
