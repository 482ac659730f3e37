"""Our arithmetic beside Kubernetes' own: the same thousands of questions, answer by answer."""
