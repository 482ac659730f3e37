"""A real Kubernetes control plane for the tests: built from source, started in seconds.

To move to another Kubernetes release, change in go.mod `k8s.io/kubernetes` (v1.x.y), every
`replace` beside it (v0.x.y; the list is the one in Kubernetes' own go.mod), run `go mod tidy`
here, and change the versions `test_control_plane.py` names.
"""
