"""Find lines that stand twice: fails when two places share a run of ten or more lines of code.

Comments, blank lines, imports and lone punctuation do not count. Run by `make duplicates`.
"""

import ast
import sys
from collections import defaultdict
from pathlib import Path

RUN = 10
"""Lines in a row; below this the shared text is usually the shape of the language."""
_THIN = frozenset(("", ")", "(", "]", "[", "}", "{", "),", "],", "},", "else:", "try:", "pass"))


def lines_of(file: Path) -> list[tuple[int, str]]:
    """List the lines that count, with their numbers."""
    text = file.read_text()
    imports = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    kept = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = " ".join(raw.split())
        if number not in imports and line not in _THIN and not line.startswith(("#", '"""')):
            kept.append((number, line))
    return kept


def find_duplicates(files: list[Path]) -> list[str]:
    """List the places at which a run of lines stands again."""
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file in files:
        lines = lines_of(file)
        for start in range(len(lines) - RUN + 1):
            window = lines[start : start + RUN]
            key = tuple(line for _, line in window)
            places[key].append(f"{file}:{window[0][0]}-{window[-1][0]}")
    return sorted({" ~ ".join(found) for found in places.values() if len(found) > 1})


def main(folders: list[str]) -> int:
    """Print what stands twice; the exit status is 1 when anything does."""
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    found = find_duplicates(files)
    for row in found:
        sys.stdout.write(f"{row}\n")
    sys.stdout.write(f"duplicates: {len(found)} in {len(files)} files\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
