"""JSON schema of the settings, with which editors complete and check config files."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a config file.

    Args:
        model: `Config` or `ComparisonConfig`.

    Returns:
        A schema in which a section of the top may be empty, as in the files.
    """
    schema = model.model_json_schema()
    for name, about in schema["properties"].items():
        if "$ref" in about:
            rest = {key: value for key, value in about.items() if key != "$ref"}
            either = [{"$ref": about["$ref"]}, {"type": "null"}]
            schema["properties"][name] = rest | {"anyOf": either}
    return {"$schema": DIALECT} | schema
