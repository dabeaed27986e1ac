"""A YAML text to a checked shape, with every problem as one sentence that an operator can act on.

Knows YAML and pydantic; knows nothing of upstreams, files or the environment.
"""

import difflib
import re
from collections.abc import Hashable, Iterable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from spanmeter_gateway.config_schema import LISTEN_RULES, FileShape

_TEXT_BY_TYPE = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "missing": "is missing",
    "model_type": "must be a mapping of keys to values",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}
_BOUND_BY_TYPE = {
    "greater_than": ("gt", "over"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "under"),
    "less_than_equal": ("le", "at most"),
}

_NAMED = re.compile(r"(alias|anchor|tag|handle) ['\"].*")
"""What YAML says of a name that it does not know, which may be a secret put there."""
_UNFIT = re.compile(r"[\0\ud800-\udfff]")
"""YAML can escape what no path, variable or header can hold: NUL, and half of a surrogate pair."""
_UNFIT_IS = "a character that no text may hold"


class UnreadableYaml(ValueError):
    """The text is not one YAML mapping; the message says where."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, where YAML's loader keeps the last without a word.

    A date stays the text that it is: an Azure API version looks like one.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001 - the base class's signature
        try:
            return super().construct_object(node, deep)
        except (UnreadableYaml, yaml.YAMLError):
            raise
        except (AttributeError, LookupError, ValueError):  # `!!float x`, `!!timestamp x`, `0b_`
            line, kind = node.start_mark.line + 1, node.tag.rpartition(":")[2]
            raise UnreadableYaml(f"line {line}: this is no valid {kind}") from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001 - the base class's signature
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # a mapping as a key, which the base class refuses
            if key_node.value in seen:
                line = key_node.start_mark.line + 1
                raise UnreadableYaml(f"line {line}: the key {key_node.value} comes twice")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if isinstance(node, yaml.ScalarNode) and _UNFIT.search(node.value):
            line = node.start_mark.line + 1
            raise UnreadableYaml(f"line {line}: a text holds {_UNFIT_IS}")
        return super().construct_scalar(node)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> dict[str, Any]:
    """Read YAML; raises `UnreadableYaml` with the line. An empty text is an empty mapping."""
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = _NAMED.sub(r"\1", error.problem or "")
        raise UnreadableYaml(f"{where}not YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise UnreadableYaml(f"not YAML: it holds {_UNFIT_IS}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UnreadableYaml("must be a mapping of keys to values")
    return document


def shape(document: dict[str, Any]) -> tuple[FileShape, list[tuple[str, str]]]:
    """Check a document's shape; give the sound part, and (dotted key, problem) in file order.

    What is wrong in one place does not hide what is wrong in another: the sound part goes on to
    the checks that need more than the shape.
    """
    errors = _errors(document, FileShape)
    sound = _without(document, [details["loc"] for details in errors])
    return FileShape.model_validate(sound), _problems(errors, FileShape)


def problems(document: dict[str, Any], kind: type[BaseModel]) -> list[tuple[str, str]]:
    """Check a document of another shape; give (dotted key, problem) in file order."""
    return _problems(_errors(document, kind), kind)


def _errors(document: dict[str, Any], kind: type[BaseModel]) -> list[ErrorDetails]:
    try:
        kind.model_validate(document)
    except ValidationError as error:
        return error.errors()
    return []


def _problems(errors: Iterable[ErrorDetails], kind: type[BaseModel]) -> list[tuple[str, str]]:
    return list(dict(_problem(details, kind) for details in errors).items())


def _without(document: dict[str, Any], places: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    # Of upstreams and prices only the broken row goes; of anything else the whole section.
    by_row = {
        name for name in ("upstreams", "prices") if isinstance(document.get(name), dict | list)
    }
    broken = {place[: 2 if place[0] in by_row else 1] for place in places}
    sound = {
        key: value
        for key, value in document.items()
        if isinstance(key, str) and (key,) not in broken
    }
    if isinstance(rows := sound.get("upstreams"), dict):
        sound["upstreams"] = {
            name: row
            for name, row in rows.items()
            if isinstance(name, str) and ("upstreams", name) not in broken
        }
    if isinstance(rows := sound.get("prices"), list):
        sound["prices"] = [row for place, row in enumerate(rows) if ("prices", place) not in broken]
    return sound


def _problem(details: ErrorDetails, shape: type[BaseModel]) -> tuple[str, str]:
    path = _real_path(details["loc"])
    if details["type"] == "extra_forbidden":
        return dotted(path), unknown("key", str(path[-1]), _keys_at(path[:-1], shape))
    return dotted(path), _text(details, path)


def _text(details: ErrorDetails, path: tuple[int | str, ...]) -> str:
    kind = details["type"]
    if path == ("workers",):
        return "must be auto or a whole number from 1 to 256"
    if dotted(path) in LISTEN_RULES:
        return LISTEN_RULES[dotted(path)]
    if kind in {"float_type", "finite_number"} and str(path[-1]).endswith("_s"):
        return "must be a number of seconds"
    if kind in _BOUND_BY_TYPE:
        key, words = _BOUND_BY_TYPE[kind]
        return f"must be {words} {details['ctx'][key]:g}"
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "literal_error":
        return f"must be {details['ctx']['expected']}"
    return _TEXT_BY_TYPE.get(kind, "is not a value that is understood")


def unknown(noun: str, wrong: str, known: Iterable[str]) -> str:
    """Say that a name is not known, with the nearest one that is."""
    near = difflib.get_close_matches(wrong, list(known), n=1)
    return f"unknown {noun}; did you mean {near[0]}?" if near else f"unknown {noun}"


def dotted(path: Iterable[int | str]) -> str:
    """Write a path as an operator would: `prices[0].model`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _real_path(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # Pydantic adds the member of a union that it tried (workers.int) and marks a key ([key]).
    if location[:1] == ("workers",):
        return location[:1]
    return location[:-1] if location[-1] == "[key]" else location


def _keys_at(path: tuple[int | str, ...], shape: type[BaseModel]) -> tuple[str, ...]:
    kind: Any = shape
    for part in path:
        is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
        kind = kind.model_fields[str(part)].annotation if is_model else get_args(kind)[-1]
        kind = _without_none(kind)
    return tuple(kind.model_fields)


def _without_none(kind: Any) -> Any:
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = next(member for member in get_args(kind) if member is not type(None))
    return kind
