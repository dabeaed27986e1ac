package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"time"
)

const (
	maxErrors   = 1000 // a run with more is stopped: it measures nothing
	drainLimit  = 5 * time.Second
	arrivalSeed = 7 // the same arrivals for every candidate
)

// settings are the flags of both kinds of load.
type settings struct {
	flags       *flag.FlagSet
	port        *int
	path        *string
	secure      *bool
	model       *string
	key         *string
	headers     *string
	verbatim    *bool
	connections *int
	warm        *time.Duration
	window      *time.Duration
	pids        *string
	mock        *string
}

func newSettings(name string) settings {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	return settings{
		flags:       flags,
		port:        flags.Int("port", 0, "of the candidate, on loopback"),
		path:        flags.String("path", chatPath, "of the request"),
		secure:      flags.Bool("tls", false, "speak TLS, without checking the certificate"),
		model:       flags.String("model", "gpt-4o-mini", "that is asked for"),
		key:         flags.String("key", "sk-bench", "the bearer token"),
		headers:     flags.String("headers", "", "more header lines, by line feed"),
		verbatim:    flags.Bool("verbatim", true, "an answer must have exactly the mock's length"),
		connections: flags.Int("connections", 32, "open at once; each carries one call at a time"),
		warm:        flags.Duration("warm", 200*time.Millisecond, "before the window"),
		window:      flags.Duration("window", time.Second, "what is measured"),
		pids:        flags.String("watch", "", "processes whose CPU and memory are read, by comma"),
		mock:        flags.String("mock", "", "the mock's process, whose CPU is the rig's own"),
	}
}

// load is what both kinds share: connections, the window, and what went wrong.
type load struct {
	settings
	loop    *loop
	request []byte
	figures figures
	open    bool // the window is open
	ended   bool // no further request is sent
	running int
}

// caller is one connection that makes one call at a time.
type caller struct {
	load    *load
	conn    *conn
	side    side // what the loop calls: this caller, or what it is a part of
	reader  answer
	begun   time.Time
	busy    bool
	settled func(c *caller, now time.Time)
	whole   func(c *caller) error // checks an answer that is not passed on verbatim
	expect  int
}

func (l *load) dial(c *caller) error {
	fd, err := dial(*l.port)
	if err != nil {
		return err
	}
	c.load = l
	c.conn = &conn{fd: fd, side: c.side}
	if *l.secure {
		if err := c.conn.secure(tls.Client, &tls.Config{InsecureSkipVerify: true}); err != nil {
			return err
		}
	}
	return l.loop.add(c.conn)
}

// ask sends the request; `begun` is when it should have been sent.
func (c *caller) ask(begun time.Time) {
	if c.conn.fd < 0 || c.reader.closes {
		c.conn.close()
		if err := c.load.dial(c); err != nil {
			c.load.failed(err)
			return
		}
	}
	c.reader.reset()
	c.begun, c.busy = begun, true
	c.load.running++
	c.load.figures.Sent++
	c.conn.send(c.load.request)
}

func (c *caller) received(_ *conn, piece []byte) {
	if err := c.reader.feed(piece); err != nil {
		c.fail(err)
		return
	}
	if c.reader.stage != ended || !c.busy {
		return
	}
	if c.reader.bodyBytes != c.expect && *c.load.verbatim {
		c.fail(fmt.Errorf("a body of %d bytes, not %d", c.reader.bodyBytes, c.expect))
		return
	}
	if !*c.load.verbatim {
		if err := c.whole(c); err != nil {
			c.fail(err)
			return
		}
	}
	c.busy = false
	c.load.running--
	c.settled(c, time.Now())
}

func (c *caller) closed(_ *conn, err error) {
	if c.busy {
		c.fail(fmt.Errorf("cut off: %w", err))
	}
}

func (c *caller) fail(err error) {
	c.load.failed(err)
	c.conn.close()
	if c.busy {
		c.busy = false
		c.load.running--
		c.settled(c, time.Time{})
	}
}

func (l *load) failed(err error) {
	l.figures.Errors++
	if l.figures.FirstErr == "" {
		l.figures.FirstErr = err.Error()
	}
	if l.figures.Errors > maxErrors {
		l.ended = true
	}
}

// run turns the loop through warm-up and window; `due` sends what is due and says how long to wait.
func (l *load) run(due func(now time.Time) time.Duration) error {
	pids, err := parsePids(*l.pids)
	if err != nil {
		return err
	}
	rig, err := parsePids(*l.mock)
	if err != nil {
		return err
	}
	started := time.Now()
	l.figures.Began = started.UnixNano()
	opens := started.Add(*l.warm)
	var watched watch
	for closes := opens.Add(*l.window); ; {
		now := time.Now()
		if !l.open && now.After(opens) {
			l.open = true
			watched = startWatch(pids, rig)
		}
		if now.After(closes) || l.ended {
			break
		}
		next := closes
		if !l.open {
			next = opens
		}
		if err := l.loop.turn(max(0, min(due(now), next.Sub(now)))); err != nil {
			return err
		}
	}
	watched.stop(&l.figures)
	l.open, l.ended = false, true
	return nil
}

// drain waits for the answers that are still under way.
func (l *load) drain() error {
	for limit := time.Now().Add(drainLimit); l.running > 0 && time.Now().Before(limit); {
		if err := l.loop.turn(100 * time.Millisecond); err != nil {
			return err
		}
	}
	if l.running > 0 {
		l.failed(fmt.Errorf("%d calls without an answer", l.running))
	}
	return nil
}

func (l *load) print() error {
	return json.NewEncoder(os.Stdout).Encode(l.figures)
}

// arrivals are Poisson: independent callers, as a service meets them.
type arrivals struct {
	mean time.Duration
	next time.Time
	dice *rand.Rand
}

func newArrivals(perSecond float64, from time.Time) arrivals {
	return arrivals{
		mean: time.Duration(float64(time.Second) / perSecond),
		next: from,
		dice: rand.New(rand.NewSource(arrivalSeed)),
	}
}

func (a *arrivals) advance() {
	a.next = a.next.Add(time.Duration(a.dice.ExpFloat64() * float64(a.mean)))
}
