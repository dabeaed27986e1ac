// The Prometheus 3 whose OTLP receiver the tests ask: Debian's Prometheus has none. ./build builds it.
//
// v0.315.0 is Prometheus 3.15, the newest of which the Go module proxy serves every module needed.
module example.invalid/prometheus3

go 1.26.0

require github.com/prometheus/prometheus v0.315.0
