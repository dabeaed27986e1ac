"""The examples of a page of documentation: its fenced Python blocks, and what is said of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
GATEWAY = "http://127.0.0.1:8080"
"""Where the gateway is on every page."""

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^##+ (.*)$", re.MULTILINE)
_RECORDED = "Recorded: "

Recorded = tuple[str, str | None, tuple[str, ...]]
"""Feature, task and tags (`key:value`) of one call."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """One fenced block. `label` is the first word of the line before it, `line` its first line."""

    heading: str
    label: str
    code: str
    file: Path
    line: int
    recorded: tuple[Recorded, ...] = ()
    """What the page says is recorded of it, a call each, in order."""
    prints: str = ""
    """What the page says that it prints."""
    shell: str = ""
    """The commands that the page says it is run by."""

    @property
    def id(self) -> str:
        """Name it for a test."""
        return f"{self.heading}, {self.label.lower()}, line {self.line}"

    @property
    def name(self) -> str:
        """Its file: what a comment in its first line says, or a name for one that has none."""
        found = re.match(r"# (\w+\.py)$", self.code, re.MULTILINE)
        return found[1] if found else "example.py"

    def code_at(self, gateway_url: str) -> str:
        """Return the code with another address for the gateway, on the lines of the page."""
        return "\n" * (self.line - 1) + self.code.replace(GATEWAY, gateway_url)


def snippets(name: str) -> list[Snippet]:
    """Read all examples of a page in order."""
    file = DOCS / name
    text = file.read_text()
    headings = [(found.start(), found[1]) for found in _HEADING.finditer(text)]
    return [
        Snippet(
            heading=[title for start, title in headings if start < found.start()][-1],
            label=re.split(r"\W", text[: found.start()].rstrip().rsplit("\n", 1)[-1])[0],
            code=found[1],
            file=file,
            line=text.count("\n", 0, found.start(1)) + 1,
            recorded=tuple(_recorded(_behind(text, found.end()))),
            prints=_fenced("text", text[found.end() :]),
            shell=_fenced("sh", text[found.end() :]),
        )
        for found in _FENCE.finditer(text)
    ]


def _behind(text: str, end: int) -> str:
    """Return the paragraph behind a block, and behind the commands that run it."""
    rest = re.sub(r"\A\n*```sh\n.*?^```$", "", text[end:], flags=re.MULTILINE | re.DOTALL)
    return rest.lstrip("\n").split("\n\n", 1)[0].replace("\n", " ")


def _fenced(language: str, behind: str) -> str:
    found = re.match(rf"\n*```{language}\n(.*?)^```$", behind, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def _recorded(paragraph: str) -> Iterator[Recorded]:
    """Read `Recorded: feature `chat`, task `reply`, tags `env:prod` `team:ml`; feature ...`."""
    if not paragraph.startswith(_RECORDED):
        return
    for call in paragraph.removeprefix(_RECORDED).split(";"):
        said = {
            word: tuple(re.findall(r"`([^`]+)`", rest))
            for word, rest in re.findall(r"(feature|task|tags?) ((?:`[^`]+` ?)+)", call)
        }
        (feature,) = said["feature"]
        yield feature, said.get("task", (None,))[0], said.get("tags", said.get("tag", ()))
