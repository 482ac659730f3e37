"""A real node for tests: containerd, runc and kubelet in a network of their own, and our image."""
