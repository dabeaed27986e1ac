"""Write the dashboards to `grafana/dist/`; `--check` fails when they are stale."""

import json
import sys
from pathlib import Path

from grafana import frame
from grafana.dashboards import feature, features, models, overview, pipeline, slo, tags

DASHBOARDS = (
    overview.DASHBOARD,
    features.DASHBOARD,
    feature.DASHBOARD,
    tags.DASHBOARD,
    models.DASHBOARD,
    slo.DASHBOARD,
    pipeline.DASHBOARD,
)
DIST = Path(__file__).parent / "dist"


def files() -> dict[str, str]:
    """Print each dashboard, by its file's name."""
    return {
        f"{dashboard.uid}.json": json.dumps(frame.as_json(dashboard), indent=2, ensure_ascii=False)
        + "\n"
        for dashboard in DASHBOARDS
    }


def stale(folder: Path) -> list[str]:
    """List the files that are missing, differ, or are of no dashboard."""
    made = files()
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.json")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write(folder: Path) -> None:
    """Bring the folder up to date."""
    folder.mkdir(exist_ok=True)
    made = files()
    for name in stale(folder):
        if name in made:
            (folder / name).write_text(made[name], encoding="utf-8")
        else:
            (folder / name).unlink()


def main(arguments: list[str]) -> int:
    """Build, or check."""
    changed = stale(DIST)
    if "--check" in arguments:
        if changed:
            sys.stderr.write(f"stale: {', '.join(changed)}; run python -m grafana.build\n")
        return 1 if changed else 0
    write(DIST)
    sys.stdout.write(f"{len(DASHBOARDS)} dashboards, {len(changed)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
