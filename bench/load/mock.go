package main

import (
	"bytes"
	"container/heap"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// sendGrain: events due within it go out together, which keeps wake-ups below one per event.
const sendGrain = 100 * time.Microsecond

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" +
	"x-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n"

// mock answers every POST with a chat completion or a stream, as the body asks.
type mock struct {
	loop   *loop
	whole  []byte // the answer to a call that is not streamed
	vector []byte // the answer to a call for embeddings
	stream streamed
	due    schedule
}

// mockConn is one caller's connection and the stream that runs on it, if one does.
type mockConn struct {
	mock      *mock
	request   []byte // when it came in more than one piece
	conn      *conn
	next      time.Time
	spacing   time.Duration
	remaining int
	wantUsage bool
	place     int // in the schedule; -1: none
}

func runMock(arguments []string) error {
	flags := flag.NewFlagSet("mock", flag.ExitOnError)
	certificate := flags.String("certificate", "", "where to write the certificate to trust (PEM)")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	loop, err := newLoop()
	if err != nil {
		return err
	}
	m := &mock{
		loop: loop, stream: newStreamed(), whole: answerWith(completion()),
		vector: answerWith(embeddings()),
	}
	ports := map[string]int{}
	if ports["plain"], err = loop.listen(0, func(fd int) { m.arrived(fd, nil) }); err != nil {
		return err
	}
	config, err := selfMade(*certificate)
	if err != nil {
		return err
	}
	if ports["tls"], err = loop.listen(0, func(fd int) { m.arrived(fd, config) }); err != nil {
		return err
	}
	loop.endWith(0)
	if err := json.NewEncoder(os.Stdout).Encode(ports); err != nil {
		return err
	}
	for {
		if err := loop.turn(m.sendDue()); err != nil {
			return err
		}
	}
}

func answerWith(body []byte) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+
		"x-request-id: req_bench\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func (m *mock) arrived(fd int, config *tls.Config) {
	c := &conn{fd: fd, side: &mockConn{mock: m, place: -1}}
	if config != nil {
		if err := c.secure(tls.Server, config); err != nil {
			fmt.Fprintln(os.Stderr, "mock: handshake:", err)
			_ = syscall.Close(fd)
			return
		}
	}
	if err := m.loop.add(c); err == nil && config != nil {
		m.loop.read(c) // the handshake may have read the request's first bytes
	}
}

func (s *mockConn) closed(*conn, error) {
	if s.place >= 0 {
		heap.Remove(&s.mock.due, s.place)
	}
}

func (s *mockConn) received(c *conn, piece []byte) {
	if len(s.request) > 0 {
		s.request = append(s.request, piece...)
		piece = s.request
	}
	length := requestLength(piece)
	if length == 0 || len(piece) < length {
		if len(s.request) == 0 {
			s.request = append(s.request, piece...)
		}
		return
	}
	s.answer(c, piece[:length])
	s.request = s.request[:0]
}

// requestLength is that of the head and the body; 0 while the head is not whole.
func requestLength(piece []byte) int {
	end := bytes.Index(piece, headEnd)
	if end < 0 {
		return 0
	}
	length := end + len(headEnd)
	for head := piece[:end]; len(head) > 0; {
		var line []byte
		line, head, _ = bytes.Cut(head, lineEnd)
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")) {
			size, _ := strconv.Atoi(string(bytes.TrimSpace(value)))
			length += size
		}
	}
	return length
}

func (s *mockConn) answer(c *conn, request []byte) {
	line, _, _ := bytes.Cut(request, lineEnd)
	if bytes.Contains(line, []byte("/embeddings")) {
		c.send(s.mock.vector)
		return
	}
	if !bytes.HasPrefix(field(request, `"stream"`), []byte("true")) {
		c.send(s.mock.whole)
		return
	}
	spacing := number(field(request, `"seed"`))
	s.conn = c
	s.remaining = number(field(request, `"max_completion_tokens"`))
	s.wantUsage = bytes.HasPrefix(field(request, `"include_usage"`), []byte("true"))
	s.spacing = time.Duration(spacing) * time.Microsecond
	s.next = time.Now()
	c.send(append([]byte(streamHead), s.mock.stream.stamp(s.next)...))
	s.remaining--
	s.next = s.next.Add(s.spacing)
	heap.Push(&s.mock.due, s)
}

// field is what follows a JSON name, up to the end of the text.
func field(body []byte, name string) []byte {
	at := bytes.Index(body, []byte(name))
	if at < 0 {
		return nil
	}
	return bytes.TrimLeft(body[at+len(name):], ": ")
}

func number(text []byte) int {
	value := 0
	for _, digit := range text {
		if digit < '0' || digit > '9' {
			break
		}
		value = value*10 + int(digit-'0')
	}
	return value
}

// sendDue sends what is due, at most an event for each stream, so that an overloaded mock still
// reads; it says how long to wait for the next.
func (m *mock) sendDue() time.Duration {
	for turns := len(m.due); turns > 0 && len(m.due) > 0; turns-- {
		now := time.Now()
		first := m.due[0]
		if wait := first.next.Sub(now); wait > sendGrain {
			return wait
		}
		m.sendNext(first, now)
	}
	if len(m.due) > 0 {
		return max(0, time.Until(m.due[0].next))
	}
	return -1
}

func (m *mock) sendNext(s *mockConn, now time.Time) {
	if s.remaining > 0 {
		s.conn.send(m.stream.stamp(now))
		s.remaining--
		s.next = s.next.Add(s.spacing)
		heap.Fix(&m.due, 0)
		return
	}
	heap.Pop(&m.due)
	if s.wantUsage {
		s.conn.send(append(append([]byte{}, m.stream.usage...), m.stream.done...))
		return
	}
	s.conn.send(m.stream.done)
}

// schedule is a heap of the streams that run, the next due first.
type schedule []*mockConn

func (q schedule) Len() int           { return len(q) }
func (q schedule) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q schedule) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *schedule) Push(item any) {
	s := item.(*mockConn)
	s.place = len(*q)
	*q = append(*q, s)
}

func (q *schedule) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	s.place = -1
	*q = (*q)[:last]
	return s
}

// selfMade makes a certificate for localhost and writes it where the candidates can trust it.
func selfMade(path string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if path != "" {
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := os.WriteFile(path, block, 0o600); err != nil {
			return nil, err
		}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}
