"""What Kubernetes objects ask for: quantities, pods, workloads, placement. Pure."""
