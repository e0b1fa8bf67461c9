package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// floodEnv carries an order to this program's own child.
const floodEnv = "QUIS_BENCH_FLOOD"

const (
	floodRate     = 10_000 // bad sign-ins a second, if node and load generator get that far
	floodCallers  = 1024
	notThePerson  = "not the password %d"
	neverTheOwner = "nobody%d"
)

// A flooder sends bad sign-ins over connections that it keeps, from another process than the
// one that measures.
type flooder struct {
	Node     string
	Networks int // that they come from; 0: as many as they like

	sent, refused, hashed, cut atomic.Int64
}

// counted is what a flooder says every tenth of a second.
type counted struct {
	Refused, Hashed int64
	Cut             int64 // connections
}

// A flooding is one that is going on.
type flooding struct {
	*benchChild
	errs chan error
	last atomic.Pointer[counted]
}

func startFlood(ctx context.Context, node string, networks int) (*flooding, error) {
	f := &flooding{errs: make(chan error, 1)}
	f.last.Store(&counted{})
	var err error
	f.benchChild, err = startChild(ctx, floodEnv, flooder{Node: node, Networks: networks}, func(line []byte) {
		var c counted
		if json.Unmarshal(line, &c) == nil {
			f.last.Store(&c)
		}
	}, f.errs)
	return f, err
}

func (f *flooding) signal(s os.Signal) error { return f.process.Signal(s) }

// pause stops it until it is told to go on, and waits until the node has answered what was on its way.
func (f *flooding) pause(ctx context.Context) error {
	return errors.Join(f.signal(syscall.SIGSTOP), sleep(ctx, time.Second))
}

// stop ends it, and returns what was wrong.
func (f *flooding) stop() error {
	_ = f.signal(syscall.SIGCONT) // or it never hears of its end
	f.end()
	select {
	case err := <-f.errs:
		return err
	default:
		return nil
	}
}

// run is the child process.
func (f *flooder) run() error {
	ctx := untilClosed()
	go f.say(ctx)
	errs := make([]error, floodCallers)
	began := time.Now()
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				if err := f.caller(ctx, began); ctx.Err() == nil {
					errs[i] = f.cutOff(err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (f *flooder) say(ctx context.Context) {
	for sleep(ctx, time.Second/10) == nil {
		_ = json.NewEncoder(os.Stdout).Encode(counted{f.refused.Load(), f.hashed.Load(), f.cut.Load()})
	}
}

// cutOff passes over a connection that the node has closed, as it may under such a load.
func (f *flooder) cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		f.cut.Add(1)
		return nil
	}
	return err
}

// caller is one connection. It writes requests by hand: the load generator must be cheaper
// than what it measures.
func (f *flooder) caller(ctx context.Context, began time.Time) error {
	s := newStranger(f.Node)
	flow, err := s.form(ctx, "/login")
	if err != nil {
		return err
	}
	u, err := url.Parse(f.Node)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 32<<10)
	for ctx.Err() == nil {
		n := f.sent.Add(1)
		if err := sleep(ctx, time.Duration(n)*time.Second/floodRate-time.Since(began)); err != nil { // not faster than wanted
			return err
		}
		body := url.Values{"flow": {flow}, "username": {fmt.Sprintf(neverTheOwner, n)}, "password": {fmt.Sprintf(notThePerson, n)}}.Encode()
		_, err := fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\nCookie: %s\r\nOrigin: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
			u.Host, f.address(), s.cookies(), f.Node, len(body), body)
		if err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			f.hashed.Add(1)
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			f.refused.Add(1)
		default:
			return fmt.Errorf("a bad sign-in was answered with %s", resp.Status)
		}
	}
	return nil
}

func (f *flooder) address() string {
	if f.Networks > 0 {
		n := rand.IntN(f.Networks)
		return fmt.Sprintf("100.%d.%d.7", n>>8, n&0xff)
	}
	return anyAddress()
}
