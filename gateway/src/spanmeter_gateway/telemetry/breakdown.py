"""The part of a series' labels that callers choose, and so can be without bound."""

from typing import NamedTuple


class Breakdown(NamedTuple):
    """Under what one attempt, and its call, are counted; `""` is a value that is not known.

    As sent, or as the cardinality governor folded it. `tags` are the values of the allow-listed tag
    keys, in their order.
    """

    feature: str
    task: str
    request_model: str
    response_model: str
    tags: tuple[str, ...]
