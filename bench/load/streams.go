package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"time"
)

// runStreams keeps a number of streams open; one that ends is followed by the next.
func runStreams(arguments []string) error {
	s := newSettings("streams")
	events := s.flags.Int("events", 100, "in a stream")
	spacing := s.flags.Duration("spacing", 10*time.Millisecond, "between two events")
	wantUsage := s.flags.Bool("usage", false, "ask for the usage chunk")
	spread := s.flags.Duration("spread", 200*time.Millisecond, "over which the first ones start")
	if err := s.flags.Parse(arguments); err != nil {
		return err
	}
	loop, err := newLoop()
	if err != nil {
		return err
	}
	question := ask{path: *s.path, model: *s.model, key: *s.key, headers: *s.headers}
	question.events, question.spacing, question.wantUsage = *events, *spacing, *wantUsage
	run := &streams{load: load{settings: s, loop: loop}, ask: question, stream: newStreamed()}
	run.step = *spread / time.Duration(*s.connections)
	run.request = question.request()
	if err := run.begin(); err != nil {
		return err
	}
	if err := run.run(run.startDue); err != nil {
		return err
	}
	run.figures.Latency = run.taken.quantiles()
	run.figures.First = run.first.quantiles()
	run.figures.Chunk = run.chunk.quantiles()
	return run.print()
}

type streams struct {
	load
	ask     ask
	stream  streamed
	taken   delays
	first   delays
	chunk   delays
	waiting []*listener
	begun   time.Time
	step    time.Duration // between the starts of the first streams: no burst, a short warm-up
}

// listener is one connection's stream: it looks for the time stamps of the events.
type listener struct {
	caller
	streams *streams
	events  int
	heard   int
	tail    []byte // of a piece that ended inside a stamp
	now     time.Time
}

func (r *streams) begin() error {
	r.begun = time.Now()
	for range make([]struct{}, *r.connections) {
		c := &listener{streams: r}
		c.settled = c.again
		c.reader.body = c.hear
		c.whole = c.check
		c.side = c
		if err := r.dial(&c.caller); err != nil {
			return err
		}
		r.waiting = append(r.waiting, c)
	}
	return nil
}

// startDue starts the first streams one after the other, each at a random place of its life, so
// that later ones do not all start together.
func (r *streams) startDue(now time.Time) time.Duration {
	for len(r.waiting) > 0 && !r.begun.After(now) {
		c := r.waiting[0]
		r.waiting = r.waiting[1:]
		short := r.ask
		short.events = 1 + rand.Intn(r.ask.events)
		c.start(short.request(), short.events, now)
		r.begun = r.begun.Add(r.step)
	}
	if len(r.waiting) == 0 {
		return unbounded
	}
	return r.begun.Sub(now)
}

func (c *listener) start(request []byte, events int, now time.Time) {
	c.events, c.heard, c.tail = events, 0, c.tail[:0]
	c.expect = c.streams.stream.bodyBytes(events, c.streams.ask.wantUsage)
	whole := c.load.request
	c.load.request = request
	c.ask(now)
	c.load.request = whole
}

func (c *listener) check(*caller) error {
	if c.heard != c.events {
		return fmt.Errorf("%d events, not %d", c.heard, c.events)
	}
	return nil
}

func (c *listener) again(_ *caller, now time.Time) {
	r := c.streams
	if r.open && !now.IsZero() {
		r.figures.Calls++
		r.taken = append(r.taken, int64(now.Sub(c.begun)))
	}
	if !r.ended {
		c.start(r.request, r.ask.events, time.Now())
	}
}

func (c *listener) received(conn *conn, piece []byte) {
	c.now = time.Now()
	c.caller.received(conn, piece)
}

// hear takes a piece of the body and measures each event in it.
func (c *listener) hear(piece []byte) {
	if len(c.tail) > 0 {
		piece = append(c.tail, piece...)
		c.tail = c.tail[:0]
	}
	for {
		at := bytes.IndexByte(piece, stampMarker[0])
		if at < 0 {
			return
		}
		if piece = piece[at+1:]; len(piece) < stampDigits {
			c.tail = append(append([]byte{}, stampMarker...), piece...)
			return
		}
		c.note(int64(number(piece[:stampDigits])))
	}
}

func (c *listener) note(sentAt int64) {
	r := c.streams
	c.heard++
	if !r.open {
		return
	}
	r.figures.Chunks++
	r.chunk = append(r.chunk, c.now.UnixNano()-sentAt)
	if c.heard == 1 {
		r.first = append(r.first, int64(c.now.Sub(c.begun)))
	}
}
