"""Each Prometheus of a pair is shown a new series at 0 once, and so is the one that comes later."""

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.scrapers import MOST, Scrapers


def test_two_scrapers_each_see_a_new_series_at_0_once() -> None:
    registry, scrapers = Registry(), Scrapers()
    registry.add(names.SEGMENTS.prometheus_name, ("entered",), 5)

    seen = [segments(registry, scrapers.reader(name)) for name in ("a", "b", "a", "b")]

    assert seen == [0, 0, 5, 5]


def test_a_scraper_keeps_its_reader_as_long_as_it_comes() -> None:
    scrapers = Scrapers()
    first = scrapers.reader("steady")

    for number in range(3 * MOST):
        scrapers.reader(f"passing-{number}")
        assert scrapers.reader("steady") == first


def test_every_reader_is_one_bit_that_a_new_series_has() -> None:
    scrapers = Scrapers()

    readers = {scrapers.reader(str(number)) for number in range(MOST)}

    assert len(readers) == MOST
    assert all(reader.bit_count() == 1 and reader & Reader.ALL for reader in readers)
    assert Reader.OTLP not in readers


def segments(registry: Registry, reader: Reader) -> int:
    [total] = [
        point.numbers[0]
        for family in registry.collect(reader)
        if family.metric is names.SEGMENTS
        for point in family.points
    ]
    return total
