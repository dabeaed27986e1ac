// Writes the blocks of a Prometheus that scraped for days. Built by bench/dashboards.py.
//
// The same Prometheus as tests/collector/prometheus3, of which the comment there speaks.
module example.invalid/blocks

go 1.26.0

require github.com/prometheus/prometheus v0.315.0
