module kube-headroom.io/tests/node/pause

go 1.26.0
