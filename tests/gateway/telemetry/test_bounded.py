from spanmeter_gateway.telemetry.bounded import Bounded


def test_a_full_cache_forgets_all_and_remembers_the_newest():
    cache: Bounded[int, str] = Bounded(2)

    kept = [cache.keep(number, str(number)) for number in range(3)]

    assert (kept, dict(cache)) == (["0", "1", "2"], {2: "2"})
