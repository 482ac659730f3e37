"""Where the API server is and who we are: from the pod's service account or from a kubeconfig."""

import os
from typing import Any, Final

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

from kube_headroom.errors import ClusterUnavailable

READ_BYTES: Final = 128 * 1024
CONFIGURATION_FAULTS: Final = (ConfigException, OSError, yaml.YAMLError, ValueError, TypeError)
"""What the official loaders raise for a file that is missing, unreadable or nonsense."""


async def load_configuration(kubeconfig: str | None, context: str | None) -> Any:  # noqa: ANN401
    """Return the official client's configuration, or raise ClusterUnavailable with the reason.

    A kubeconfig that is named, here or by KUBECONFIG, comes first; then the service account of the
    pod this runs in; then kubectl's own default file.
    """
    configuration = Configuration()
    named = kubeconfig or os.environ.get("KUBECONFIG")
    in_cluster = not named and context is None and "KUBERNETES_SERVICE_HOST" in os.environ
    source = "the pod's service account" if in_cluster else named or "~/.kube/config"
    try:
        if in_cluster:
            load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=source,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except CONFIGURATION_FAULTS as error:
        raise ClusterUnavailable(f"no cluster from {source}: {error}") from error
    # Chain and name are verified as ever; only the demand for an authority key identifier, which
    # many a cluster's own CA does not meet, is dropped (Python 3.13 made it the default).
    configuration.disable_strict_ssl_verification = True
    # How much is read at one go. The client's own 2 MiB would hold the event loop for 5 ms.
    configuration.client_session_kwargs = {"read_bufsize": READ_BYTES}
    return configuration
