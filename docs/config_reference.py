"""Write docs/config.md, the reference of all settings, from the settings themselves.

python docs/config_reference.py
"""

import inspect
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo

from nnmd_graph.comparison.config import PER_MODEL, ComparisonConfig, NVEConfig
from nnmd_graph.config import Config, to_yaml
from nnmd_graph.representations.symmetry.recipes import RECIPES
from nnmd_graph.sections import Section

PAGE = Path(__file__).with_name("config.md")

HEAD = """\
# Settings

<!-- Written by `python docs/config_reference.py`; a test checks that it is up to date. -->

`nnmd-graph train config.yaml` reads these settings from a YAML file; what is not there has its
default. An unknown key is an error that says which one was probably meant. Names of files count
from the folder of the config file. The folder of a run holds all its settings in `config.yaml`.
`--set key=value` on the command line changes one: `--set training.batch_size=8`.

`nnmd-graph schema > schema.json` writes a JSON schema (`--comparison`: that of comparisons), with
which editors complete and check configs that begin with
`# yaml-language-server: $schema=schema.json`.
"""

SHORTEST = """\
The shortest config names the data:

```yaml
data: {train: data.extxyz}
```

"""


def reference() -> str:
    """The page as text."""
    sections = "".join(_section(name, section) for name, section in _sections("", Config()))
    defaults = f"## All defaults as a file\n\n```yaml\n{to_yaml(Config())}```\n"
    return f"{HEAD}\n{SHORTEST}{sections}{_recipes()}{_comparison()}{defaults}"


def _recipes() -> str:
    """What `model.representation.options` may hold: the arguments of each recipe."""
    text = "## Options of the recipes\n\nThe keys of `model.representation.options`. "
    text += "The sources are in the [README](../README.md#sources-to-cite).\n\n"
    text += "| recipe | options and their defaults |\n|---|---|\n"
    for name, recipe in sorted(RECIPES.items()):
        options = list(inspect.signature(recipe).parameters.values())[1:]  # the first: the cutoff
        listing = ", ".join(f"`{option.name}: {_plain(option.default)}`" for option in options)
        text += f"| `{name}` | {listing} |\n"
    return text + "\n"


def _comparison() -> str:
    """The keys that only a comparison has."""
    text = "## Settings of a comparison\n\n`nnmd-graph compare config.yaml` reads the sections "
    text += "`data`, `loss`, `training` and the key `device` as above, and these; "
    text += "[how it works](comparing.md).\n\n| key | default | meaning |\n|---|---|---|\n"
    own = ("models", "seeds", "learning_curve")
    shown = {"models": "(needed)", "seeds": [0], "learning_curve": []}
    for key in own:
        text += _row(key, ComparisonConfig.model_fields[key], shown[key])
    for key, field in NVEConfig.model_fields.items():
        text += _row(f"nve.{key}", field, getattr(NVEConfig(), key))
    text += "\nKeys of `models.NAME.training`, which may differ between models: "
    return text + ", ".join(f"`{key}`" for key in PER_MODEL) + ".\n\n"


def _plain(value: object) -> str:
    """A value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump([plain], default_flow_style=True, width=10**6).strip()[1:-1]


def _sections(name: str, section: Section) -> list[tuple[str, Section]]:
    """This section and those inside it, with their dotted names."""
    found = [(name, section)]
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Section):
            found += _sections(f"{name}.{key}".lstrip("."), value)
    return found


def _section(name: str, section: Section) -> str:
    rows = [
        _row(key, field, getattr(section, key))
        for key, field in type(section).model_fields.items()
        if not isinstance(getattr(section, key), Section)
    ]
    heading = f"## `{name}`\n\n" if name else "## At the top\n\n"
    about = "" if not name else (type(section).__doc__ or "").strip().splitlines()[0] + "\n\n"
    return f"{heading}{about}| key | default | meaning |\n|---|---|---|\n" + "".join(rows) + "\n"


def _row(key: str, field: FieldInfo, value: object) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{key}` | `{_plain(value)}` | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"written: {PAGE}")
