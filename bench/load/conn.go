package main

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"time"
)

// handshakeLimit bounds a TLS handshake, which is the only thing that blocks the loop.
const handshakeLimit = 2 * time.Second

// conn is one socket, with TLS when `tls` is set.
type conn struct {
	fd   int
	loop *loop
	side side
	tls  *tls.Conn
	// What the kernel has not taken yet.
	unsent []byte
}

// take reads once: errAgain when there is nothing.
func (c *conn) take(into []byte) (int, error) {
	if c.tls != nil {
		count, err := c.tls.Read(into)
		if failure, ok := err.(net.Error); ok && failure.Timeout() {
			err = errAgain
		}
		return count, err
	}
	return readSocket(c.fd, into)
}

func readSocket(fd int, into []byte) (int, error) {
	count, err := syscall.Read(fd, into)
	for err == syscall.EINTR {
		count, err = syscall.Read(fd, into)
	}
	switch {
	case err == syscall.EAGAIN:
		return 0, errAgain
	case err != nil:
		return 0, err
	case count == 0:
		return 0, io.EOF
	}
	return count, nil
}

// send writes now what the kernel takes, and the rest when it is ready.
func (c *conn) send(piece []byte) {
	if c.tls != nil {
		_, _ = c.tls.Write(piece) // a failure shows at the next read
		return
	}
	c.sendSocket(piece)
}

func (c *conn) sendSocket(piece []byte) {
	if c.fd < 0 {
		return
	}
	if len(c.unsent) > 0 {
		c.unsent = append(c.unsent, piece...)
		return
	}
	count, err := syscall.Write(c.fd, piece)
	if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		return // a failure shows at the next read
	}
	if count = max(count, 0); count < len(piece) {
		c.unsent = append(c.unsent, piece[count:]...)
		_ = c.loop.watch(syscall.EPOLL_CTL_MOD, c.fd, syscall.EPOLLIN|syscall.EPOLLOUT)
	}
}

func (c *conn) flush() {
	waiting := c.unsent
	c.unsent = nil
	c.sendSocket(waiting)
	if len(c.unsent) == 0 && c.fd >= 0 {
		_ = c.loop.watch(syscall.EPOLL_CTL_MOD, c.fd, syscall.EPOLLIN)
	}
}

func (c *conn) close() {
	if c.fd < 0 {
		return
	}
	c.loop.conns[c.fd] = nil
	_ = syscall.Close(c.fd)
	c.fd = -1
	c.unsent = nil
}

// secure runs the handshake on a blocking socket; `wrap` is tls.Client or tls.Server.
func (c *conn) secure(wrap func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) error {
	limit := syscall.NsecToTimeval(int64(handshakeLimit))
	for _, option := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
		if err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &limit); err != nil {
			return err
		}
	}
	secured := wrap(tlsSocket{c}, config)
	if err := secured.Handshake(); err != nil {
		return err
	}
	c.tls = secured
	return nil
}

// tlsSocket is the socket as crypto/tls sees it: blocking until the handshake is done, then not.
type tlsSocket struct{ *conn }

func (s tlsSocket) Read(into []byte) (int, error) { return readSocket(s.fd, into) }

func (s tlsSocket) Write(piece []byte) (int, error) {
	if s.loop != nil {
		s.sendSocket(piece)
		return len(piece), nil
	}
	for sent := 0; sent < len(piece); {
		count, err := syscall.Write(s.fd, piece[sent:])
		if err != nil {
			return sent, err
		}
		sent += count
	}
	return len(piece), nil
}

func (s tlsSocket) Close() error                     { return nil }
func (s tlsSocket) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s tlsSocket) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s tlsSocket) SetDeadline(time.Time) error      { return nil }
func (s tlsSocket) SetReadDeadline(time.Time) error  { return nil }
func (s tlsSocket) SetWriteDeadline(time.Time) error { return nil }
