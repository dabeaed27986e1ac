"""Who scrapes: of a pair of Prometheus servers both must see a new series at 0 first."""

from spanmeter_gateway.telemetry.cells import Reader

MOST = 8
"""Of more at a time, those that scraped least recently share a place with the next that comes."""


class Scrapers:
    """Give each scraper a reader of its own, by a name such as its address and user agent."""

    def __init__(self) -> None:
        self._reader_by_name: dict[str, Reader] = {}
        """The least recent first."""

    def reader(self, name: str) -> Reader:
        """Return the reader of a scraper that comes now."""
        found = self._reader_by_name.pop(name, None)
        if found is None and len(self._reader_by_name) < MOST:
            found = Reader(Reader.SCRAPE << len(self._reader_by_name))
        elif found is None:
            found = self._reader_by_name.pop(next(iter(self._reader_by_name)))
        self._reader_by_name[name] = found
        return found
