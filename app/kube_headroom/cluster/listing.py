"""One list beside all watches: what the API server has of a type now, shown piece by piece.

Separate from the reflector because it follows nothing: who compares a view wants a second opinion.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from kube_headroom.cluster.client import Client
from kube_headroom.cluster.decoding import Undecodable, page_head, page_items
from kube_headroom.cluster.resource_paths import RESOURCES
from kube_headroom.resources.objects import KubeObject

PAGE_SIZE: Final = 500
PIECE_BYTES: Final = 16 * 1024

Show = Callable[[str, KubeObject], None]


class Lister:
    """Lists types of one cluster, consistently."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list_all(self, plural: str, show: Show) -> str:
        """Show every readable object of a type; return the list's resourceVersion.

        Raises ClusterUnavailable.
        """
        resource = RESOURCES[plural]
        query = {"fieldSelector": resource.field_selector} if resource.field_selector else {}
        continue_, version = "", ""
        while True:
            body = await self._client.list_page(resource.path, PAGE_SIZE, continue_, **query)
            head = page_head(body)
            for objects in page_items(body, PIECE_BYTES):
                for obj in objects:
                    if not isinstance(obj, Undecodable):
                        obj.kind, obj.api_version = resource.kind, resource.api_version
                        show(plural, obj)
                await asyncio.sleep(0)  # reviews first
            version = head.resource_version or version
            continue_ = head.continue_ or ""
            if not continue_:
                return version
