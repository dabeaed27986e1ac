module spanmeter/bench/load

go 1.22
