// Evaluates rule files over days within seconds, with Prometheus' own code. ./build builds it.
//
// The same Prometheus as tests/collector/prometheus3, of which the comment there speaks.
module example.invalid/fastforward

go 1.26.0

require github.com/prometheus/prometheus v0.315.0
