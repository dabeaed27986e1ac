// Command load is both ends of the benchmark: the mock upstream and the load generator.
//
// Both share one core with each other while the candidate has the other core to itself, so each is a
// single epoll loop that parses no more than it must. Linux only; the standard library only.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	if len(os.Args) < 2 {
		fail("say one of: mock, calls, streams")
	}
	runtime.LockOSThread()
	runtime.GOMAXPROCS(1)
	exactTimers()
	var err error
	switch os.Args[1] {
	case "mock":
		err = runMock(os.Args[2:])
	case "calls":
		err = runCalls(os.Args[2:])
	case "streams":
		err = runStreams(os.Args[2:])
	default:
		err = fmt.Errorf("unknown subcommand %q", os.Args[1])
	}
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "load:", why)
	os.Exit(1)
}
