package main

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

const ticksPerSecond = 100 // USER_HZ is 100 on every Linux that Go runs on

// tick is the grain of the account of when calls ended.
const tick = 20 * time.Millisecond

// quantiles of one kind of delay, in microseconds.
type quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// figures are what one run prints.
type figures struct {
	Seconds  float64   `json:"seconds"`
	Calls    int       `json:"calls"`
	Chunks   int       `json:"chunks"`
	Sent     int       `json:"sent"` // requests over the whole run, warm-up included
	Errors   int       `json:"errors"`
	FirstErr string    `json:"first_error"`
	Latency  quantiles `json:"latency_us"`
	First    quantiles `json:"first_us"`
	Chunk    quantiles `json:"chunk_us"`
	CPU      float64   `json:"cpu_s"`
	RigCPU   float64   `json:"rig_cpu_s"` // of this process and of the mock
	RSS      int       `json:"rss_bytes"`
	// The share of each core's time that was busy, and that the host took.
	Busy map[string]float64 `json:"busy"`
	// When the run began, in nanoseconds since the Unix epoch, and the calls that ended in each tick.
	Began  int64   `json:"began_ns"`
	Ended  []int   `json:"ended_by_tick"`
	Stolen float64 `json:"stolen"`
}

// delays are kept whole: a run has at most a few hundred thousand.
type delays []int64

func (d delays) quantiles() quantiles {
	if len(d) == 0 {
		return quantiles{}
	}
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	at := func(share float64) float64 {
		return float64(d[min(len(d)-1, int(share*float64(len(d))))]) / 1000
	}
	return quantiles{Count: len(d), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}

// watch holds the clocks of the candidate's processes and of the cores at the window's start.
type watch struct {
	pids    []int
	rig     []int
	started time.Time
	cpu     float64
	rigCPU  float64
	cores   map[string]core
}

type core struct{ busy, stolen, all float64 }

func parsePids(text string) ([]int, error) {
	var pids []int
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func startWatch(pids, rig []int) watch {
	rig = append(rig, os.Getpid())
	return watch{
		pids: pids, rig: rig, started: time.Now(),
		cpu: cpuSeconds(pids), rigCPU: cpuSeconds(rig), cores: readCores(),
	}
}

// stop fills in what passed since the start.
func (w watch) stop(into *figures) {
	into.Seconds = time.Since(w.started).Seconds()
	into.CPU = cpuSeconds(w.pids) - w.cpu
	into.RigCPU = cpuSeconds(w.rig) - w.rigCPU
	into.RSS = rssBytes(w.pids)
	into.Busy = map[string]float64{}
	now := readCores()
	for name, before := range w.cores {
		if all := now[name].all - before.all; all > 0 {
			into.Busy[name] = (now[name].busy - before.busy) / all
			into.Stolen += (now[name].stolen - before.stolen) / all / float64(len(w.cores))
		}
	}
}

// cpuSeconds is user and system time of every thread: fields 14 and 15 of proc(5) stat.
func cpuSeconds(pids []int) float64 {
	ticks := 0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		ticks += number(fields[11]) + number(fields[12])
	}
	return float64(ticks) / ticksPerSecond
}

// rssBytes is the second figure of proc(5) statm, in pages.
func rssBytes(pids []int) int {
	total := 0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		total += number(bytes.Fields(text)[1]) * os.Getpagesize()
	}
	return total
}

// readCores reads the cpuN lines of proc(5) stat: user nice system idle iowait irq softirq steal.
func readCores() map[string]core {
	cores := map[string]core{}
	text, _ := os.ReadFile("/proc/stat")
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) < 9 || !strings.HasPrefix(line, "cpu") || words[0] == "cpu" {
			continue
		}
		var parts [8]float64
		for i := range parts {
			parts[i] = float64(number([]byte(words[i+1])))
		}
		idle := parts[3] + parts[4]
		busy := parts[0] + parts[1] + parts[2] + parts[5] + parts[6]
		cores[words[0][3:]] = core{busy: busy, stolen: parts[7], all: busy + idle + parts[7]}
	}
	return cores
}
