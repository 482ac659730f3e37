"""A real node for tests: containerd, runc and kubelet in a network of their own, and our image.

    with real_cluster() as cluster:                      # tests/node/cluster.py; 5 s
        cluster.node.import_image(image.obtain())        # tests/node/image.py
        cluster.control_plane.apply(manifest)            # as in tests/controlplane

Root only. Pods that shall run for real select `type: real`. To move containerd or the plugins to
another release: `go get MODULE@VERSION && go mod tidy` in their folder here.
"""
