"""kube-headroom: refuse, at `kubectl apply`, what declares no limits or what the cluster has no room for."""
