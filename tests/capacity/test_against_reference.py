"""Whatever a view is shown, in whatever order, the book is what its definitions say."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kube_headroom.capacity.headroom import shortfalls
from kube_headroom.capacity.held import Tally
from kube_headroom.capacity.load import Load
from kube_headroom.capacity.recount import recount
from kube_headroom.capacity.rules import capacity_rules
from kube_headroom.capacity.scenes import Region
from kube_headroom.resources.placement import ANYWHERE
from tests.capacity.manifests import PLURALS
from tests.capacity.reference import Nodes, Reference, Vector, vector
from tests.capacity.sizes import sizes
from tests.capacity.world import World, decoded, headroom

KINDS = ("deployment", "replicaset", "statefulset", "job", "cronjob", "daemonset")
CHILD_OF = {"replicaset": "deployment", "job": "cronjob"}
NAMES = st.sampled_from(["x", "y"])
PARENTS = st.sampled_from(["", "x", "custom"])
OWNERS = st.sampled_from(
    ["", "replicaset", "replicaset", "statefulset", "job", "daemonset", "custom", "custom"]
)
POD_NAMES = st.sampled_from(["p", "q", "r", "s", "x-0", "y-1"])
LABELS = st.sampled_from([{}, {"app": "x"}, {"app": "x"}, {"app": "y"}])
SELECTING = {"deployment", "replicaset", "statefulset", "daemonset", "job"}
STATES = st.sampled_from(
    [
        *({}, {}, {}, {}),
        *({"grace": 30}, {"grace": 121}, {"phase": "Succeeded"}, {"gated": True}),
        {"unschedulable": True},
    ]
)
SIZES = st.sampled_from(["1Mi", "2Mi", "3Mi"])
PLACES = st.sampled_from([{}, {}, {}, {"zone": "a"}, {"zone": "b"}, {"zone": "none"}])
PRIORITIES = st.sampled_from([0, 0, 0, 10, -10])
COUNTS = st.integers(0, 3)
NODE_NAMES = st.sampled_from(["n0", "n1", "n2"])
TEMPLATES = st.fixed_dictionaries(
    {"memory": SIZES, "replicas": COUNTS, "selects": PLACES, "priority": PRIORITIES},
    optional={"labels": LABELS},
)
ENDING = st.sampled_from(
    [*({}, {}, {}, {}), {"grace": 0}, {"grace": 0, "metadata": {"finalizers": ["orphan"]}}]
)
WHOLE = {"maximumLimits": "100%"}
RULES = capacity_rules(headroom(cpu=WHOLE, memory=WHOLE, ephemeralStorage=WHOLE))


class Machine(RuleBasedStateMachine):
    """Events of all types in any order, and promises; nothing need make sense to a cluster."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.generation = 0
        self.uids: dict[tuple[str, str], str] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def uid_of(self, kind: str, name: str) -> str:
        """The uid that an object of this name has until its end is seen."""
        return self.uids.setdefault((kind, name), self.new_uid(kind, name))

    def new_uid(self, kind: str, name: str) -> str:
        """A uid that no object had."""
        self.generation += 1
        return f"{kind}/{name}.{self.generation}"

    def workload(
        self, kind: str, name: str, parent: str, template: dict[str, Any]
    ) -> dict[str, Any]:
        """The short form of a workload."""
        short = {"name": name, "uid": self.uid_of(kind, name), **template}
        if kind == "job":
            short |= {"parallelism": template["replicas"], "completions": 9}
        if kind == "statefulset" and template["replicas"] == 3:  # partly updated
            short["spec"] = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
        if kind in SELECTING:
            short["matches"] = {"app": name}
        if parent == "custom" and kind != "cronjob":
            short["owner"] = "custom/one"
        elif parent and kind in CHILD_OF:
            short["owner"] = self.uid_of(CHILD_OF[kind], parent)
        return short

    @rule(
        name=NODE_NAMES,
        memory=st.sampled_from(["2Mi", "5Mi", "8Mi"]),
        zone=st.sampled_from(["a", "b"]),
        ready=st.sampled_from([True, True, True, False]),
        cordoned=st.sampled_from([False, False, False, True]),
        tainted=st.sampled_from([False, False, True]),
    )
    def put_node(
        self, name: str, memory: str, zone: str, ready: bool, cordoned: bool, tainted: bool
    ) -> None:
        short: dict[str, Any] = {"name": name, "memory": memory, "labels": {"zone": zone}}
        short |= {"ready": ready, "cordoned": cordoned, "pods": "4", "uid": f"node/{name}"}
        self.world.put("node", short | {"taints": ["odd:NoSchedule"] if tainted else []})

    @rule(name=NODE_NAMES)
    def delete_node(self, name: str) -> None:
        if f"node/{name}" in self.world.shown.get("nodes", {}):
            self.world.delete(f"node/{name}")

    @rule(
        kind=st.sampled_from(KINDS), name=NAMES, parent=PARENTS, template=TEMPLATES, ending=ENDING
    )
    def put_workload(
        self, kind: str, name: str, parent: str, template: dict[str, Any], ending: dict[str, Any]
    ) -> None:
        self.world.put(kind, self.workload(kind, name, parent, template) | ending)

    @rule(kind=st.sampled_from(KINDS), name=NAMES)
    def delete_workload(self, kind: str, name: str) -> None:
        self.end(kind, name)

    @rule(
        name=POD_NAMES,
        owner=OWNERS,
        of=NAMES,
        node=st.sampled_from(["", "", "n0", "n1", "n2"]),
        short=st.fixed_dictionaries(
            {"memory": SIZES, "priority": PRIORITIES},
            optional={"selects": PLACES, "labels": LABELS},
        ),
        state=STATES,
    )
    def put_pod(
        self,
        name: str,
        owner: str,
        of: str,
        node: str,
        short: dict[str, Any],
        state: dict[str, Any],
    ) -> None:
        self.world.put("pod", self.pod(name, owner, of, node, short | state))

    def pod(
        self, name: str, owner: str, of: str, node: str, short: dict[str, Any]
    ) -> dict[str, Any]:
        """The short form of a pod."""
        short = {**short, "name": name, "uid": self.uid_of("pod", name)}
        if owner == "custom":
            short["owner"] = f"custom/{of}"
        elif owner:
            short["owner"] = self.uid_of(owner, of)
        return short | ({"node": node} if node else {})

    @rule(name=POD_NAMES)
    def delete_pod(self, name: str) -> None:
        self.end("pod", name)

    def end(self, kind: str, name: str) -> None:
        """Show the end of an object, if it is shown; the next of its name is another."""
        plural = next(plural for kind_, plural in PLURALS.items() if kind_.lower() == kind)
        uid = self.uids.get((kind, name))
        if uid in self.world.shown.get(plural, {}):
            self.world.delete(str(uid))
            del self.uids[kind, name]

    @rule(plural=st.sampled_from(["pods", "nodes", "deployments", "replicasets"]), data=st.data())
    def relist(self, plural: str, data: st.DataObject) -> None:
        shown = self.world.shown.get(plural, {})
        kept = data.draw(st.lists(st.sampled_from(sorted(shown)), unique=True)) if shown else []
        for key, uid in tuple(self.uids.items()):
            if uid in shown and uid not in kept:
                del self.uids[key]
        self.world.relist(plural, [shown[uid] for uid in kept])

    @rule(seconds=st.sampled_from([1, 31, 80, 150, 600]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule()
    def expire(self) -> None:
        self.world.expire()

    @rule(
        kind=st.sampled_from(KINDS),
        name=NAMES,
        parent=PARENTS,
        template=TEMPLATES,
        fresh=st.booleans(),
    )
    def promise_workload(
        self, kind: str, name: str, parent: str, template: dict[str, Any], fresh: bool
    ) -> None:
        short = self.workload(kind, name, parent, template)
        self.promise(kind, short, fresh=fresh)

    @rule(
        name=POD_NAMES,
        owner=st.sampled_from(["", "", "custom"]),
        memory=SIZES,
        selects=PLACES,
        priority=PRIORITIES,
        fresh=st.booleans(),
    )
    def promise_pod(
        self,
        name: str,
        owner: str,
        memory: str,
        selects: dict[str, str],
        priority: int,
        fresh: bool,
    ) -> None:
        short = {"memory": memory, "selects": selects, "priority": priority}
        self.promise("pod", self.pod(name, owner, "x", "", short), fresh=fresh)

    @rule(name=POD_NAMES, owner=OWNERS, of=NAMES, labels=LABELS, memory=SIZES)
    def promise_labels(
        self, name: str, owner: str, of: str, labels: dict[str, str], memory: str
    ) -> None:
        """Of what may be a pod that is there: perhaps its controller is to let go of it."""
        short = {"memory": memory, "labels": labels}
        self.promise("pod", self.pod(name, owner, of, "", short), fresh=False)

    def promise(self, kind: str, short: dict[str, Any], *, fresh: bool) -> None:
        """Ask, then promise it whatever the answer was."""
        if fresh:
            short["uid"] = self.new_uid(kind, short["name"])
        obj = decoded(kind, short)
        before = sizes(self.world.view)
        shortfalls(self.world.book, self.world.promise(obj), RULES)
        assert before == sizes(self.world.view)
        self.world.allow(obj)
        self.asked.append((kind, short))

    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        """What was promised is seen."""
        if self.asked:
            kind, short = self.asked.pop(data.draw(st.integers(0, len(self.asked) - 1)))
            known = self.uids.get((kind, short["name"]))
            if known in (None, short["uid"]) and short["uid"] not in self.world.deleted:
                self.uids[kind, short["name"]] = short["uid"]
                self.world.put(kind, short)

    @invariant()
    def is_what_the_definitions_say(self) -> None:
        compare(self.world)
        assert not [text for text in recount(self.world.book, lambda: self.world.now) if text]

    def teardown(self) -> None:
        assert_nothing_is_left(self.world)


def compare(world: World) -> None:
    """Compare every set of nodes that anything is confined to, at every priority."""
    reference, nodes = Reference(world), world.book.nodes
    placements = {ANYWHERE} | {claim.placement for claims in reference.claims for claim in claims}
    sets = {reference.eligible(placement) for placement in placements} | {reference.available()}
    for placement in placements:
        assert _names(world, nodes.eligible(placement)) == reference.eligible(placement)
    assert _names(world, nodes.available) == reference.available()
    for names in sets:
        bits = sum(1 << nodes.rows[name].index for name in names)
        for threshold in (-(2**63), 0, 10):
            free = nodes.lens(bits, threshold).free
            assert vector(free.requests, free.limits) == reference.free(names, threshold)
            held = _held(world, bits, threshold)
            assert (_vector(held.total), _vector(held.coming)) == reference.held(names, threshold)


def _names(world: World, bits: int) -> Nodes:
    return frozenset(row.facts.name for row in world.book.nodes.members(bits))


def _held(world: World, bits: int, threshold: int) -> Tally:
    register, region = world.book.register, Region(world.book.nodes, bits, threshold)
    return register.completed(register.tally(region), region)


def _vector(load: Load) -> Vector:
    return vector(load.requests, load.limits)


def assert_nothing_is_left(world: World) -> None:
    """Once everything is gone and proven, no entry of any dictionary is left."""
    for by_uid in world.shown.values():
        for uid in tuple(by_uid):
            world.delete(uid)
    world.wait(1000)
    world.expire()
    assert {name: size for name, size in sizes(world.view).items() if size} == {}


def test_the_book_is_what_its_definitions_say(soak: bool) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            deadline=None,
            derandomize=not soak,
            max_examples=2500 if soak else 700,
            stateful_step_count=80 if soak else 50,
            suppress_health_check=list(HealthCheck),
        ),
    )
