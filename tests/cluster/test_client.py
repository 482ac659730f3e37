"""The client: who it says it is, and what it makes of answers that are none."""

import json
import ssl
import subprocess
import sys

import pytest

from kube_headroom.cluster.api_error import ApiError, ServerUnreachable
from kube_headroom.cluster.client import JSON_PATCH, MERGE_PATCH, Client, Timeouts
from kube_headroom.errors import ClusterUnavailable
from tests.cluster.fake_api import FakeApi, failure, page, pod, reply


async def test_an_error_carries_the_attempt_and_the_servers_words(api, client):
    api.lists = [failure(403, "Forbidden", 'nodes is forbidden: User "me" cannot list')]
    with pytest.raises(ApiError) as raised:
        await client.get("/api/v1/nodes")
    assert str(raised.value) == (
        'GET /api/v1/nodes: 403 Forbidden: nodes is forbidden: User "me" cannot list'
    )
    assert (raised.value.status, raised.value.reason) == (403, "Forbidden")


async def test_an_error_that_is_no_json_keeps_its_first_line(api, client):
    api.lists = [reply(502, b"<h1>bad gateway</h1>\nsecond line")]
    with pytest.raises(ApiError, match=r"GET /x: 502: <h1>bad gateway</h1>$"):
        await client.get("/x")


async def test_nobody_listens(tmp_path):
    async with FakeApi() as gone:
        kubeconfig = gone.kubeconfig(tmp_path)
    client = await Client.connect(kubeconfig)
    with pytest.raises(ServerUnreachable, match="GET /x: Cannot connect"):
        await client.get("/x")
    await client.close()


async def test_a_connection_that_breaks_is_unavailability_and_not_unreachability(api, client):
    """Something may have been done: the difference matters to whoever writes."""

    async def hang_up(asked, writer):
        writer.transport.abort()

    api.writes = [hang_up]
    with pytest.raises(ClusterUnavailable) as raised:
        await client.put("/x", b"{}")
    assert not isinstance(raised.value, ServerUnreachable)


async def test_a_request_that_takes_too_long(api, tmp_path):
    async def say_nothing(asked, writer):
        await writer.wait_closed()

    api.lists = [say_nothing]
    client = await Client.connect(api.kubeconfig(tmp_path), timeouts=Timeouts(request_seconds=0.1))
    with pytest.raises(ClusterUnavailable, match="GET /x"):
        await client.get("/x")
    await client.close()


@pytest.mark.parametrize(
    ("verb", "arguments", "method", "content_type"),
    [
        ("post", (), "POST", "application/json"),
        ("put", (), "PUT", "application/json"),
        ("patch", (MERGE_PATCH,), "PATCH", MERGE_PATCH),
    ],
)
async def test_bodies_arrive_as_they_are_meant(api, client, verb, arguments, method, content_type):
    api.writes = [reply(200, {"done": True})]
    body = {"data": {"text": 'ü "quoted"\n'}, "number": 1, "nothing": None}
    answer = await getattr(client, verb)(
        "/x", json.dumps(body).encode(), *arguments, fieldManager="me"
    )
    assert json.loads(answer) == {"done": True}
    (asked,) = api.asked
    assert (asked.method, asked.headers["content-type"]) == (method, content_type)
    assert json.loads(asked.body) == body
    assert asked.query == {"fieldManager": "me"}


async def test_a_json_patch_is_sent_as_one(api, client):
    api.writes = [reply(200, {})]
    await client.patch("/x", b'[{"op":"remove","path":"/a"}]', JSON_PATCH)
    assert api.asked[0].headers["content-type"] == JSON_PATCH
    assert json.loads(api.asked[0].body) == [{"op": "remove", "path": "/a"}]


async def test_the_current_version_is_asked_with_a_consistent_list_of_one(api, client):
    api.lists = [page([pod("a", 1)], 77, more="there")]
    assert await client.current_version("/api/v1/pods") == "77"
    assert api.asked[0].query == {"limit": "1"}


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ClusterUnavailable, match=r"no cluster from .*/nowhere"):
        await Client.connect(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["", "[]", "{", "a: b", "users: 5"])
async def test_a_kubeconfig_that_is_nonsense_is_named(tmp_path, text):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(text)
    with pytest.raises(ClusterUnavailable, match="no cluster from"):
        await Client.connect(str(kubeconfig))


async def test_a_context_that_is_not_there_is_named(api, tmp_path):
    with pytest.raises(ClusterUnavailable, match="elsewhere"):
        await Client.connect(api.kubeconfig(tmp_path), "elsewhere")


async def test_in_a_pod_the_service_account_is_used_and_its_token_read_again(
    api, tmp_path, monkeypatch
):
    """Tokens are rotated under a running pod."""
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    ca.write_text(_any_certificate())
    loader = "kubernetes.aio.config.incluster_config"
    monkeypatch.setattr(f"{loader}.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(f"{loader}.SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setattr(f"{loader}._join_host_port", lambda host, port: f"{host}:{port}")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
    client = await Client.connect()
    configuration = client._api.configuration
    assert configuration.host == f"https://127.0.0.1:{api.port}"
    configuration.refresh_api_key_hook.__closure__[
        0
    ].cell_contents.token_expires_at -= configuration.refresh_api_key_hook.__closure__[
        0
    ].cell_contents._token_refresh_period
    token.write_text("second")
    settings = await configuration.auth_settings()
    assert settings["BearerToken"]["value"].lower() == "bearer second"
    await client.close()


def _any_certificate() -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(binary_form=True)[0])


def test_the_models_of_the_official_client_are_never_loaded():
    """They would cost 70 MB."""
    check = (
        "import sys, kube_headroom.cluster.feed, kube_headroom.cluster.configuration;"
        "print([m for m in sys.modules if m.startswith('kubernetes.aio.client.models.v1_pod')"
        " or m == 'kubernetes.aio.client.api.core_v1_api'])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
