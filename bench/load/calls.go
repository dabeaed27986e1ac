package main

import "time"

const unbounded = time.Hour

// runCalls measures calls that are not streamed: closed loop, or open loop when a rate is given.
func runCalls(arguments []string) error {
	s := newSettings("calls")
	rate := s.flags.Float64("rate", 0, "calls a second, open loop; 0: closed loop")
	if err := s.flags.Parse(arguments); err != nil {
		return err
	}
	loop, err := newLoop()
	if err != nil {
		return err
	}
	run := &calls{load: load{settings: s, loop: loop}}
	run.request = ask{path: *s.path, model: *s.model, key: *s.key}.request()
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
}

func (r *calls) begin(rate float64) (func(time.Time) time.Duration, error) {
	settled, due := r.askAgain, func(time.Time) time.Duration { return unbounded }
	if rate > 0 {
		plan := newArrivals(rate, time.Now())
		settled, due = r.askQueued, func(now time.Time) time.Duration { return r.askDue(&plan, now) }
	}
	for range make([]struct{}, *r.connections) {
		c := &caller{settled: settled, expect: answerBytes}
		c.side = c
		if err := r.dial(c); err != nil {
			return nil, err
		}
		r.free = append(r.free, c)
	}
	if rate == 0 {
		for _, c := range r.free {
			c.ask(time.Now())
		}
	}
	return due, nil
}

func (r *calls) note(c *caller, now time.Time) {
	if r.open && !now.IsZero() {
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
