"""A real Kubernetes control plane for the tests: built from source, started in seconds."""
