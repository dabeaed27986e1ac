"""What a PromQL expression selects and which labels its result has, by Prometheus' own parser.

Source of the tree's shape: Prometheus 3, `/api/v1/parse_query` (web/api/v1/translate_ast.go).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]
LabelsOf = Callable[[str], frozenset[str]]
_PARTS = ("expr", "param", "lhs", "rhs")
_SELECTORS = ("vectorSelector", "matrixSelector")
_KEEP_SERIES = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_WITHOUT_LABELS = frozenset({"vector", "scalar", "time", "absent", "absent_over_time"})


class LabelMissing(LookupError):
    """An expression groups or joins by a label that its operand does not have."""


def walk(node: Node, above: tuple[Node, ...] = ()) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """List every node with those above it, the nearest last."""
    yield node, above
    inner = [node[part] for part in _PARTS if node.get(part)] + list(node.get("args", ()))
    for each in inner:
        yield from walk(each, (*above, node))


def selectors(node: Node) -> list[tuple[Node, tuple[Node, ...]]]:
    """List what the expression reads."""
    return [found for found in walk(node) if found[0]["type"] in _SELECTORS]


def result_labels(node: Node, labels_of: LabelsOf) -> frozenset[str]:
    """List the labels that the result can have; raises `LabelMissing`."""
    kind = node["type"]
    if kind in _SELECTORS:
        return labels_of(node["name"])
    if kind == "aggregation":
        return _of_aggregation(node, labels_of)
    if kind == "call":
        return _of_call(node, labels_of)
    if kind == "binaryExpr":
        return _of_binary(node, labels_of)
    return result_labels(node["expr"], labels_of) if "expr" in node else frozenset()


def _of_aggregation(node: Node, labels_of: LabelsOf) -> frozenset[str]:
    inner = result_labels(node["expr"], labels_of)
    grouping = frozenset(node["grouping"] or ())
    _require(grouping, inner, node["op"])
    if node["op"] in _KEEP_SERIES:
        return inner
    if node["op"] == "count_values":
        grouping |= {node["param"]["val"]}
    return inner - grouping if node["without"] else grouping


def _of_call(node: Node, labels_of: LabelsOf) -> frozenset[str]:
    name, arguments = node["func"]["name"], node["args"] or ()
    if name in _WITHOUT_LABELS:
        return frozenset()
    found = [result_labels(each, labels_of) for each in arguments]
    inner = frozenset[str]().union(*found)
    if name == "histogram_quantile":
        _require(frozenset({"le"}), inner, name)
        return inner - {"le"}
    if name in {"label_replace", "label_join"}:
        return inner | {arguments[1]["val"]}
    return inner


def _of_binary(node: Node, labels_of: LabelsOf) -> frozenset[str]:
    left, right = (result_labels(node[side], labels_of) for side in ("lhs", "rhs"))
    matching = node["matching"]
    if matching is None:  # one side is a number
        return left | right
    matched = frozenset(matching["labels"] or ())
    if matching["on"]:
        _require(matched, left, f"{node['op']} on, left")
        _require(matched, right, f"{node['op']} on, right")
    if node["op"] in {"and", "unless"}:
        return left
    if node["op"] == "or":
        return left | right
    included = frozenset(matching["include"] or ())
    if matching["card"] in {"many-to-one", "one-to-many"}:
        many, one = (left, right) if matching["card"] == "many-to-one" else (right, left)
        _require(included, one, f"{node['op']} group")
        return many | included
    return matched if matching["on"] else left - matched


def _require(labels: frozenset[str], there: frozenset[str], where: str) -> None:
    if missing := labels - there:
        raise LabelMissing(f"{where}: {sorted(missing)} of {sorted(there)}")
