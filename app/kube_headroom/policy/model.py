"""The policy: every key an administrator may write, its default and its meaning.

The attribute docstrings are the reference: `docs/policy.md` and the JSON Schema are made from
them. Frozen values; loading and its faults are in load.py, what they mean in checks.py, scope.py
and the capacity room.
"""

from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from kube_headroom.policy.fields import (
    WHOLE,
    Action,
    ByteQuantity,
    ByteReserve,
    CpuQuantity,
    CpuReserve,
    Day,
    ModeWord,
    Percent,
    Ratio,
    Reserve,
    Resource,
    Switch,
    word,
)

QosClass = Literal["Burstable", "Guaranteed"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Names = tuple[Name, ...]

AutoscalerAction = Annotated[Literal["warn", "enforce"], BeforeValidator(word)]

SELECTORS: Final = ("namespaces", "users", "groups", "images")


class _Section(BaseModel):
    """What all sections share: frozen, camelCase keys, unknown keys are faults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        use_attribute_docstrings=True,
    )


class _ByResource(_Section):
    """A section keyed by resource; what is not named has no value and is not shown."""

    @model_serializer(mode="wrap")
    def _show_what_is_set(self, show: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {key: value for key, value in show(self).items() if value is not None}


class ResourceAmounts(_ByResource):
    """An amount for each resource; what is not named has none."""

    cpu: CpuQuantity | None = None
    """Of CPU, like 250m."""
    memory: ByteQuantity | None = None
    """Of memory, like 64Mi."""
    ephemeral_storage: ByteQuantity | None = Field(None, alias="ephemeral-storage")
    """Of ephemeral storage, like 1Gi."""

    @cached_property
    def named(self) -> tuple[tuple[str, int], ...]:
        """What is set, by Kubernetes name."""
        return _named(self.cpu, self.memory, self.ephemeral_storage)


class ResourceRatios(_ByResource):
    """A ratio for each resource; what is not named has none."""

    cpu: Ratio | None = None
    """Of CPU."""
    memory: Ratio | None = None
    """Of memory."""
    ephemeral_storage: Ratio | None = Field(None, alias="ephemeral-storage")
    """Of ephemeral storage."""

    @cached_property
    def named(self) -> tuple[tuple[str, int], ...]:
        """What is set, by Kubernetes name, in thousandths."""
        return _named(self.cpu, self.memory, self.ephemeral_storage)


class Requirements(_Section):
    """What every container must declare."""

    requests: tuple[Resource, ...] = ("cpu", "memory")
    """Resources that need a request; `[]` switches the rule off."""
    limits: tuple[Resource, ...] = ("cpu", "memory")
    """Resources that need a limit. Teams that set no CPU limits on purpose write `[memory]`."""
    max_limit_request_ratio: ResourceRatios = ResourceRatios()
    """The most times its request that a limit may be, by resource: `{memory: 4}`."""
    minimum: ResourceAmounts = ResourceAmounts()
    """The least a container may ask for, request and limit, by resource: `{memory: 16Mi}`."""
    maximum: ResourceAmounts = ResourceAmounts()
    """The most a container may ask for, request and limit, by resource: `{memory: 8Gi}`."""
    qos_class: QosClass | None = None
    """The least quality of service class a pod must be of."""

    @field_validator("maximum")
    @classmethod
    def _maximum_reaches_minimum(
        cls, maximum: ResourceAmounts, info: ValidationInfo
    ) -> ResourceAmounts:
        if "minimum" in info.data:
            _refuse_crossing(info.data["minimum"], maximum)
        return maximum

    @cached_property
    def has_bounds(self) -> bool:
        """Tell whether more is asked than that something is declared."""
        bounds = (self.max_limit_request_ratio, self.minimum, self.maximum)
        return self.qos_class is not None or any(bound.named for bound in bounds)

    def overridden(self, other: "Requirements") -> "Requirements":
        """Return these requirements with what the other gives in their place."""
        given = {name: getattr(other, name) for name in other.model_fields_set}
        merged = self.model_copy(update=given)
        _refuse_crossing(merged.minimum, merged.maximum)
        return merged


class MemoryHeadroom(_Section):
    """Memory the cluster must have room for."""

    requests: Action = "enforce"
    """When requests exceed the headroom."""
    limits: Action = "warn"
    """When limits exceed what `maximumLimits` allows."""
    reserve: ByteReserve = Reserve()
    """What stays free: a percentage of any set of nodes, or a quantity of the whole cluster."""
    maximum_limits: Percent = 15_000
    """How far the sum of limits may go, as a percentage of allocatable."""


class CpuHeadroom(_Section):
    """CPU the cluster must have room for."""

    requests: Action = "warn"
    """When requests exceed the headroom."""
    limits: Action = "off"
    """When limits exceed what `maximumLimits` allows."""
    reserve: CpuReserve = Reserve()
    """What stays free: a percentage of any set of nodes, or a quantity of the whole cluster."""
    maximum_limits: Percent = 40_000
    """How far the sum of limits may go, as a percentage of allocatable."""


class EphemeralStorageHeadroom(_Section):
    """Ephemeral storage the cluster must have room for."""

    requests: Action = "off"
    """When requests exceed the headroom."""
    limits: Action = "off"
    """When limits exceed what `maximumLimits` allows."""
    reserve: ByteReserve = Reserve()
    """What stays free: a percentage of any set of nodes, or a quantity of the whole cluster."""
    maximum_limits: Percent = 15_000
    """How far the sum of limits may go, as a percentage of allocatable."""


class Autoscalers(_Section):
    """HorizontalPodAutoscalers and what they scale."""

    calls: AutoscalerAction = "warn"
    """When an autoscaler's own call exceeds the headroom: let it pass with a warning, or refuse."""
    count: Literal["current", "maximum"] = "current"
    """Count an autoscaled workload at its current replicas or at the autoscaler's maximum."""


class Headroom(_Section):
    """What the cluster must have room for."""

    memory: MemoryHeadroom = MemoryHeadroom()
    """Memory."""
    cpu: CpuHeadroom = CpuHeadroom()
    """CPU."""
    ephemeral_storage: EphemeralStorageHeadroom = EphemeralStorageHeadroom()
    """Ephemeral storage."""
    pods: Action = "enforce"
    """When the nodes' pod slots do not suffice."""
    fit: Action = "enforce"
    """When the pods do not fit into the free room of the single nodes."""
    spare_nodes: Annotated[StrictInt, Field(ge=0, le=5000), WHOLE] = 0
    """Keep the room of the k largest nodes free, to survive their loss."""
    surge: Percent = 2_500
    """Recorded growth of an unknown owner's ReplicaSets beside the largest one, in percent of it."""
    ignore_priority_below: Annotated[StrictInt, Field(ge=-(2**31), le=2**31 - 1), WHOLE] = 0
    """Pods of a lower priority hold nothing: placeholders."""
    pending_hold_seconds: Annotated[StrictInt, Field(ge=0, le=86_400), WHOLE] = 600
    """How long an unschedulable pod holds its room."""
    autoscalers: Autoscalers = Autoscalers()
    """HorizontalPodAutoscalers."""
    elastic: Switch = "off"
    """on: the cluster grows by itself; capacity refusals become recorded warnings."""


class Exemption(_Section):
    """Someone or something the rules do not bind. Keys are ANDed, their values ORed."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Why; shown in reports and counted in metrics."""
    namespaces: Names = ()
    """Namespaces; `*` stands for any text."""
    users: Names = ()
    """User names; `*` stands for any text."""
    groups: Names = ()
    """Groups; `*` stands for any text."""
    images: Names = ()
    """Container images; `*` stands for any text. Frees only these containers, and only from the
    requirements; without images the exemption frees from every refusal."""
    until: Annotated[Day | None, Field(validate_default=True)] = None
    """The last day it holds, in UTC; without it, for good."""

    @field_validator("until", mode="after")
    @classmethod
    def _names_someone(cls, until: Day | None, info: ValidationInfo) -> Day | None:
        # On the last field, so that it speaks up beside the faults of the others.
        if all(name in info.data and not info.data[name] for name in SELECTORS):
            raise PydanticCustomError("whole_section", "frees everyone; allowed: at least one of {keys}", {"keys": ", ".join(SELECTORS)})  # fmt: skip
        return until


class NamespaceOverride(_Section):
    """Another mode or other requirements for some namespaces."""

    names: Annotated[Names, Field(min_length=1)]
    """Namespaces; `*` stands for any text."""
    mode: ModeWord | None = None
    """The mode there."""
    requirements: Annotated[Requirements | None, Field(validate_default=True)] = None
    """The requirements there; keys that are not given stay as they are for all."""

    @field_validator("requirements", mode="after")
    @classmethod
    def _changes_something(
        cls, requirements: Requirements | None, info: ValidationInfo
    ) -> Requirements | None:
        if requirements is None and info.data.get("mode", "") is None:
            raise PydanticCustomError("whole_section", "changes nothing; allowed: mode, requirements")  # fmt: skip
        return requirements

    def completed(self, base: Requirements) -> "NamespaceOverride":
        """Return this override with the requirements it leaves as they are filled in."""
        if self.requirements is None:
            return self
        try:
            merged = base.overridden(self.requirements)
        except ValueError as error:
            raise ValueError(f"{', '.join(self.names)}: {error}") from error
        return self.model_copy(update={"requirements": merged})


class Policy(_Section):
    """The whole policy."""

    mode: ModeWord = "enforce"
    """enforce, warn or audit (log, metric and annotation only): caps every rule's action."""
    requirements: Requirements = Requirements()
    """What every container must declare."""
    headroom: Headroom = Headroom()
    """What the cluster must have room for."""
    allow_namespaces_to_loosen: StrictBool = False
    """Let a namespace's own labels loosen the mode; otherwise they may only tighten it."""
    exemptions: tuple[Exemption, ...] = ()
    """Whom the rules do not bind."""
    namespaces: tuple[NamespaceOverride, ...] = ()
    """Other rules for some namespaces; the first match wins."""

    @field_validator("namespaces")
    @classmethod
    def _complete(
        cls, overrides: tuple[NamespaceOverride, ...], info: ValidationInfo
    ) -> tuple[NamespaceOverride, ...]:
        """Fill in, once, what an override leaves as it is for all."""
        if "requirements" not in info.data:
            return overrides
        return tuple(one.completed(info.data["requirements"]) for one in overrides)


def _refuse_crossing(minimum: ResourceAmounts, maximum: ResourceAmounts) -> None:
    least = dict(minimum.named)
    for resource, most in maximum.named:
        if most < least.get(resource, 0):
            raise ValueError(f"{resource}: the maximum is below the minimum")


def _named(
    cpu: int | None, memory: int | None, ephemeral_storage: int | None
) -> tuple[tuple[str, int], ...]:
    values = (("cpu", cpu), ("memory", memory), ("ephemeral-storage", ephemeral_storage))
    return tuple((name, value) for name, value in values if value is not None)
