"""What a page of results says of the run that made it."""

import pytest
from bench.environment import command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "python -m bench"),
        (["--quick", "--write"], "python -m bench --quick --write"),
        (["--quick", "--json", "/here/f.json", "--write"], "python -m bench --quick --write"),
        (["--json=/here/f.json", "--write"], "python -m bench --write"),
    ],
)
def test_the_command_is_told_without_a_place_of_this_machine(
    arguments: list[str], told: str
) -> None:
    assert command(arguments) == told
