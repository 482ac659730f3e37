"""The JSON Schema of a policy: what editors complete and explain while one is written."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaSerializer, core_schema

from kube_headroom.policy.model import Policy


class _Generator(GenerateJsonSchema):
    """Shows defaults the way an administrator writes them: `150%`, not basis points."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        default = schema["default"]
        if isinstance(default, BaseModel):
            shown = default.model_dump(mode="json", by_alias=True)
        else:
            shown = SchemaSerializer(schema["schema"]).to_python(default, mode="json")
        return inner if shown is None else {**inner, "default": shown}


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy."""
    schema = Policy.model_json_schema(by_alias=True, schema_generator=_Generator)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
