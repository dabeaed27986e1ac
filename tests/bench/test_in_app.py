"""The benchmark of the in-app package leaves nothing behind, and measures both sides."""

import httpx2

from bench import in_app


def test_every_row_has_both_sides_of_each_round_and_leaves_httpx2_as_it_was() -> None:
    before = httpx2.HTTPTransport.handle_request

    rows = in_app.costs(2)

    assert [row.what for row in rows] == [
        "in-app, import",
        "in-app, call to the gateway",
        "in-app, call elsewhere",
        "in-app, async call to the gateway",
        "in-app, async call elsewhere",
    ]
    assert {(len(row.reference), len(row.ours), len(row.compared)) for row in rows} == {(2, 2, 2)}
    assert [row.what for row in rows if not row.value > 0] == []
    assert httpx2.HTTPTransport.handle_request is before
