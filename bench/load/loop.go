package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	prSetTimerSlack = 29  // prctl(2)
	sysEpollPwait2  = 441 // epoll_pwait2(2): the same number on amd64 and arm64; Linux 5.11
	readBufferBytes = 256 << 10
)

// errAgain says that the socket has nothing more; crypto/tls lets a temporary error pass and resumes.
var errAgain error = temporary{}

type temporary struct{}

func (temporary) Error() string   { return "again" }
func (temporary) Timeout() bool   { return true }
func (temporary) Temporary() bool { return true }

var errClosed = errors.New("closed by the other side")

// side is one end of a conversation: what the loop calls.
type side interface {
	received(c *conn, piece []byte)
	closed(c *conn, err error)
}

// loop is one epoll instance and the connections on it.
type loop struct {
	epoll  int
	conns  []*conn
	events []syscall.EpollEvent
	buffer []byte
	accept map[int]func(fd int)
}

func newLoop() (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &loop{
		epoll:  epoll,
		events: make([]syscall.EpollEvent, 1024),
		buffer: make([]byte, readBufferBytes),
		accept: map[int]func(int){},
	}, nil
}

// exactTimers removes the 50 us by which Linux may delay a sleeping thread.
func exactTimers() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
}

// turn waits for events, at most `patience` (negative: for ever), and serves them.
func (l *loop) turn(patience time.Duration) error {
	var limit *syscall.Timespec
	if patience >= 0 {
		spec := syscall.NsecToTimespec(int64(patience))
		limit = &spec
	}
	count, _, errno := syscall.Syscall6(
		sysEpollPwait2, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])),
		uintptr(len(l.events)), uintptr(unsafe.Pointer(limit)), 0, 0)
	if errno == syscall.EINTR {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("epoll_pwait2: %w", errno)
	}
	for _, event := range l.events[:count] {
		l.serve(int(event.Fd), event.Events)
	}
	return nil
}

func (l *loop) serve(fd int, ready uint32) {
	if accept, isListener := l.accept[fd]; isListener {
		accept(fd)
		return
	}
	c := l.conns[fd]
	if c == nil {
		return // closed by an earlier event of the same turn
	}
	if ready&syscall.EPOLLOUT != 0 {
		c.flush()
	}
	if ready&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		l.read(c)
	}
}

// read takes what is there. Plain sockets are level-triggered, so one read is enough; TLS may hold
// bytes that epoll cannot see, so it is read until it has no more.
func (l *loop) read(c *conn) {
	for c.fd >= 0 {
		count, err := c.take(l.buffer)
		if count > 0 {
			c.side.received(c, l.buffer[:count])
		}
		if err == errAgain || (err == nil && c.tls == nil) {
			return
		}
		if err != nil {
			if c.fd >= 0 {
				side := c.side
				c.close()
				side.closed(c, err)
			}
			return
		}
	}
}

func (l *loop) add(c *conn) error {
	for len(l.conns) <= c.fd {
		l.conns = append(l.conns, nil)
	}
	if err := syscall.SetNonblock(c.fd, true); err != nil {
		return err
	}
	l.conns[c.fd] = c
	c.loop = l
	return l.watch(syscall.EPOLL_CTL_ADD, c.fd, syscall.EPOLLIN)
}

func (l *loop) watch(operation, fd int, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	return syscall.EpollCtl(l.epoll, operation, fd, &event)
}

// listen opens a loopback port (0: any) and gives each accepted socket to `arrived`.
func (l *loop) listen(port int, arrived func(fd int)) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, loopback(port)); err != nil {
		return 0, err
	}
	if err := syscall.Listen(fd, 4096); err != nil {
		return 0, err
	}
	l.accept[fd] = func(listener int) {
		socket, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
		if err == nil {
			arrived(socket)
		}
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return name.(*syscall.SockaddrInet4).Port, l.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN)
}

// endWith ends the process when the pipe is closed, so that it does not outlive who started it.
func (l *loop) endWith(pipe int) {
	l.accept[pipe] = func(int) { os.Exit(0) }
	_ = l.watch(syscall.EPOLL_CTL_ADD, pipe, syscall.EPOLLIN) // refused when it is not a pipe
}

func loopback(port int) *syscall.SockaddrInet4 {
	return &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

// dial connects to a loopback port; it blocks, which on loopback is a moment.
func dial(port int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := syscall.Connect(fd, loopback(port)); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

var _ net.Error = temporary{}
