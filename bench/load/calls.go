package main

import (
	"bytes"
	"fmt"
	"time"
)

const unbounded = time.Hour

// runCalls measures calls that are not streamed: closed loop, or open loop when a rate is given.
func runCalls(arguments []string) error {
	s := newSettings("calls")
	rate := s.flags.Float64("rate", 0, "calls a second, open loop; 0: closed loop")
	prompt := s.flags.Int("prompt", promptBytes, "bytes of the prompt")
	if err := s.flags.Parse(arguments); err != nil {
		return err
	}
	loop, err := newLoop()
	if err != nil {
		return err
	}
	run := &calls{load: load{settings: s, loop: loop}}
	question := ask{path: *s.path, model: *s.model, key: *s.key, headers: *s.headers}
	question.prompt = *prompt
	run.request = question.request()
	run.expect, run.said = answerBytes, []byte(saying)
	if isEmbeddings(*s.path) {
		run.expect, run.said = len(embeddings()), []byte(`"embedding"`)
	}
	run.taken = make(delays, 0, 1<<20)
	due, err := run.begin(*rate)
	if err != nil {
		return err
	}
	if err := run.run(due); err != nil {
		return err
	}
	if err := run.drain(); err != nil {
		return err
	}
	run.figures.Latency = run.taken.quantiles()
	return run.print()
}

type calls struct {
	load
	taken delays
	free  []*caller
	queue []time.Time // when a call was due that found no free connection
	// What an answer must have: its length, or the text in it where a gateway writes it anew.
	expect int
	said   []byte
}

// talker is one connection's call; it keeps the answer where the text in it is looked for.
type talker struct {
	caller
	calls *calls
	kept  []byte
}

func (t *talker) hear(piece []byte) { t.kept = append(t.kept, piece...) }

func (t *talker) check(*caller) error {
	found := bytes.Contains(t.kept, t.calls.said)
	t.kept = t.kept[:0]
	if !found {
		return fmt.Errorf("an answer without the text of the upstream's")
	}
	return nil
}

func (r *calls) begin(rate float64) (func(time.Time) time.Duration, error) {
	settled, due := r.askAgain, func(time.Time) time.Duration { return unbounded }
	if rate > 0 {
		plan := newArrivals(rate, time.Now())
		settled, due = r.askQueued, func(now time.Time) time.Duration { return r.askDue(&plan, now) }
	}
	for range make([]struct{}, *r.connections) {
		t := &talker{calls: r, caller: caller{settled: settled, expect: r.expect}}
		t.side = &t.caller
		if !*r.verbatim {
			t.whole, t.reader.body = t.check, t.hear
		}
		if err := r.dial(&t.caller); err != nil {
			return nil, err
		}
		r.free = append(r.free, &t.caller)
	}
	if rate == 0 {
		for _, c := range r.free {
			c.ask(time.Now())
		}
	}
	return due, nil
}

func (r *calls) note(c *caller, now time.Time) {
	if now.IsZero() {
		return
	}
	at := int(time.Duration(now.UnixNano()-r.figures.Began) / tick)
	for len(r.figures.Ended) <= at {
		r.figures.Ended = append(r.figures.Ended, 0)
	}
	r.figures.Ended[at]++
	if r.open {
		r.figures.Calls++
		r.taken = append(r.taken, int64(now.Sub(c.begun)))
	}
}

// askAgain closes the loop: the next call starts when the last one ended.
func (r *calls) askAgain(c *caller, now time.Time) {
	r.note(c, now)
	if !r.ended {
		c.ask(time.Now())
	}
}

func (r *calls) askQueued(c *caller, now time.Time) {
	r.note(c, now)
	if len(r.queue) == 0 || r.ended {
		r.free = append(r.free, c)
		return
	}
	begun := r.queue[0]
	r.queue = r.queue[1:]
	c.ask(begun)
}

// askDue sends what is due. A call's latency counts from when it was due, not from when a connection
// was free, so that a stall is felt by all whom it would have met.
func (r *calls) askDue(plan *arrivals, now time.Time) time.Duration {
	for !plan.next.After(now) {
		if last := len(r.free) - 1; last >= 0 {
			c := r.free[last]
			r.free = r.free[:last]
			c.ask(plan.next)
		} else {
			r.queue = append(r.queue, plan.next)
		}
		plan.advance()
	}
	return plan.next.Sub(now)
}
