"""Generated questions. A seed fixes them all, so a difference found once is found again."""

from __future__ import annotations

from random import Random
from typing import Any

SUFFIXES = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
WRONG_SUFFIXES = ("K", "ki", "mi", "GB", "Gb", "B", "i", "mm", "Kii", "e", "e+", "Ee5", "m5", "%")
# Texts people write in manifests, and the ones that are easy to get wrong; all of them in range.
PLAIN = (
    *("0", "100m", "250m", "1", "2", "1500m", "0.5", "0.0005", "1.1E-9", "3.001n", "100u"),
    *("64Mi", "128Mi", "1Gi", "1.5Gi", "0.1Gi", "0.05Gi", "100.035Ki", ".001Ki", "512m", "1e3"),
    *("1E3", "1k", "1G", "123456789", "+5", "007", "1.500", "1.k", "005Ki", "0.1m", "1e-3", "12E6"),
)


def quantity_text(random: Random) -> str:
    """Return a text that mostly is a quantity."""
    sign = random.choice(("", "", "", "", "+", "-"))
    number = _digits(random, 0, 20) if random.random() < 0.3 else _digits(random, 1, 6)
    if random.random() < 0.4:
        number += "." + _digits(random, 0, 12)
    kind = random.random()
    if kind < 0.25:
        # Beyond 45 upstream is slow and cuts exponents to 32 bits (Q2); ours refuses from 41.
        exponent = random.randint(-45, 45)
        suffix = random.choice("eE") + random.choice(("", "+" if exponent >= 0 else ""))
        suffix += str(exponent)
    elif kind < 0.35:
        suffix = random.choice(WRONG_SUFFIXES)
    else:
        suffix = random.choice(SUFFIXES)
    text = sign + number + suffix
    if random.random() < 0.05:
        place = random.randint(0, len(text))
        text = text[:place] + random.choice(" _,+-.x\n\t0٣\x1c\u2003") + text[place:]
    return text


def pod(random: Random, *, defaulted: bool) -> dict[str, Any]:
    """Return a pod; defaulted means each limit has its request, as the API server leaves it."""
    containers = [_container(random, f"c{n}", defaulted) for n in range(random.randint(1, 4))]
    init = [_container(random, f"i{n}", defaulted) for n in range(random.choice((0, 0, 1, 2, 4)))]
    for container in init:
        if random.random() < 0.5:
            container["restartPolicy"] = random.choice(("Always", "Always", "OnFailure"))
    spec: dict[str, Any] = {"containers": containers, "initContainers": init}
    if random.random() < 0.3:
        spec["overhead"] = _quantities(random)
    if random.random() < 0.4:
        spec["resources"] = _pod_level(random, defaulted)
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def resized(random: Random, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the pod with a status in which containers have other sizes than they ask for."""
    spec = asked["spec"]
    status: dict[str, Any] = {
        "containerStatuses": [_state(random, each) for each in spec["containers"]],
        "initContainerStatuses": [_state(random, each) for each in spec["initContainers"]],
        "conditions": [_condition(random) for _ in range(random.randint(0, 3))],
    }
    if random.random() < 0.3:
        status["resources"] = _resources(random, "")
        status["allocatedResources"] = _quantities(random)
    return {**asked, "status": status}


def _digits(random: Random, least: int, most: int) -> str:
    return "".join(random.choices("00123456789", k=random.randint(least, most)))


def _quantities(random: Random) -> dict[str, str]:
    names = ("cpu", "memory", "ephemeral-storage", "example.com/device")
    return {name: random.choice(PLAIN) for name in names if random.random() < 0.6}


def _resources(random: Random, own: str) -> dict[str, dict[str, str]]:
    requests = _quantities(random)
    limits = _quantities(random)
    if random.random() < 0.3:
        limits = dict(requests)  # else nothing would ever be Guaranteed
    if own == "defaulted":
        requests = limits | requests
    return {"requests": requests, "limits": limits}


def _container(random: Random, name: str, defaulted: bool) -> dict[str, Any]:
    container: dict[str, Any] = {"name": name}
    if random.random() < 0.9:
        container["resources"] = _resources(random, "defaulted" if defaulted else "")
    return container


def _pod_level(random: Random, defaulted: bool) -> dict[str, dict[str, str]]:
    if random.random() < 0.2:
        return random.choice(({}, {"requests": {"hugepages-2Mi": "2Mi"}}, {"requests": {}}))
    resources = _resources(random, "")
    if defaulted and resources["limits"]:
        # With a limit the API server fills in every request it can.
        filled = {"cpu": "1", "memory": "1Gi"} | resources["limits"]
        resources["requests"] = filled | resources["requests"]
    return resources


def _state(random: Random, container: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = {"name": container["name"]}
    kind = random.random()
    if kind < 0.3 and "resources" in container:
        state["resources"] = container["resources"]
        same = container["resources"]["requests"]
        state["allocatedResources"] = same if random.random() < 0.7 else _quantities(random)
    elif kind < 0.8:
        state["resources"] = _resources(random, "")
        if random.random() < 0.6:
            state["allocatedResources"] = _quantities(random)
    return state


def _condition(random: Random) -> dict[str, str]:
    return {
        "type": random.choice(("PodResizePending", "PodResizePending", "Ready")),
        "status": random.choice(("True", "False")),
        "reason": random.choice(("Infeasible", "Deferred", "")),
    }
