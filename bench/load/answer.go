package main

import (
	"bytes"
	"fmt"
	"strconv"
)

type stage int

const (
	inHead stage = iota
	inFixedBody
	inChunkSize
	inChunk
	inChunkEnd
	inTrailers
	ended
)

const maxHeadBytes = 16 << 10

var (
	headEnd  = []byte("\r\n\r\n")
	lineEnd  = []byte("\r\n")
	statusOK = []byte("HTTP/1.1 200")
)

// answer reads one HTTP/1.1 response from any split of its bytes; `body` gets what is in the body.
type answer struct {
	body      func(piece []byte)
	stage     stage
	remaining int
	bodyBytes int
	closes    bool
	partial   []byte // of the head or of a line, when a read ended inside it
}

func (a *answer) reset() {
	*a = answer{body: a.body, partial: a.partial[:0]}
}

// feed takes the next bytes. Anything but a whole 200 answer is an error.
func (a *answer) feed(piece []byte) error {
	for len(piece) > 0 {
		var err error
		switch a.stage {
		case inHead:
			piece, err = a.readHead(piece)
		case inFixedBody, inChunk:
			piece = a.readBody(piece)
		case inChunkSize, inChunkEnd, inTrailers:
			piece, err = a.readLine(piece)
		case ended:
			return fmt.Errorf("%d bytes after the answer's end", len(piece))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *answer) readHead(piece []byte) ([]byte, error) {
	head, rest, whole := a.until(piece, headEnd)
	if !whole {
		if len(a.partial) > maxHeadBytes {
			return nil, fmt.Errorf("no end of the head in %d bytes", maxHeadBytes)
		}
		return nil, nil
	}
	if !bytes.HasPrefix(head, statusOK) {
		return nil, fmt.Errorf("status %q", head[:min(len(head), 12)])
	}
	a.stage = inHead
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, lineEnd)
		if err := a.readHeader(line); err != nil {
			return nil, err
		}
	}
	switch {
	case a.stage == inHead:
		return nil, fmt.Errorf("an answer without a length")
	case a.stage == inFixedBody && a.remaining == 0:
		a.stage = ended
	}
	return rest, nil
}

func (a *answer) readHeader(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	if len(name) == 0 || (name[0]|0x20 != 'c' && name[0]|0x20 != 't') {
		return nil
	}
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		length, err := strconv.Atoi(string(value))
		a.stage, a.remaining = inFixedBody, length
		return err
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		a.stage = inChunkSize
	case bytes.EqualFold(name, []byte("connection")):
		a.closes = bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

func (a *answer) readBody(piece []byte) []byte {
	count := min(a.remaining, len(piece))
	a.bodyBytes += count
	a.remaining -= count
	if a.body != nil {
		a.body(piece[:count])
	}
	if a.remaining == 0 {
		if a.stage == inChunk {
			a.stage = inChunkEnd
		} else {
			a.stage = ended
		}
	}
	return piece[count:]
}

func (a *answer) readLine(piece []byte) ([]byte, error) {
	line, rest, whole := a.until(piece, lineEnd)
	if !whole {
		return nil, nil
	}
	switch a.stage {
	case inChunkEnd:
		a.stage = inChunkSize
	case inChunkSize:
		size, err := strconv.ParseInt(string(line), 16, 32)
		if err != nil {
			return nil, fmt.Errorf("chunk size: %w", err)
		}
		a.remaining = int(size)
		a.stage = inChunk
		if size == 0 {
			a.stage = inTrailers
		}
	case inTrailers:
		if len(line) == 0 {
			a.stage = ended
		}
	}
	return rest, nil
}

// until cuts at `end`, joining what an earlier read left; what it returns holds until the next call.
func (a *answer) until(piece, end []byte) (before, rest []byte, whole bool) {
	if len(a.partial) == 0 {
		if at := bytes.Index(piece, end); at >= 0 {
			return piece[:at], piece[at+len(end):], true
		}
		a.partial = append(a.partial, piece...)
		return nil, nil, false
	}
	had := len(a.partial)
	a.partial = append(a.partial, piece...)
	at := bytes.Index(a.partial, end)
	if at < 0 {
		return nil, nil, false
	}
	before = a.partial[:at]
	a.partial = a.partial[:0]
	return before, piece[at+len(end)-had:], true
}
