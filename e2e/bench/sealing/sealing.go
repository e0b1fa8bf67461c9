// Package sealing measures what it costs that nodes speak TLS with each other: the processor time of both ends for
// what a write is sent in, beside plain TCP over the same loopback. It is in a room of its own because it needs no
// node: it says what part of a replicated write's cost no change of ours can take away.
package sealing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"syscall"
	"time"
)

// Cost returns how much processor time TLS 1.3 takes for a write, in µs: what
// two followers are sent for it, in groups as large as a leader under load makes
// them, over TLS and over plain TCP, both ends counted.
func Cost() (float64, error) {
	const group, perWrite, rounds = 77, 420, 4000 // writes in an entry, bytes of a write in it
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return 0, err
	}
	server := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	client := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} // only its speed is of interest
	var took [2]time.Duration
	for i, wrap := range []func(c net.Conn, serves bool) net.Conn{
		func(c net.Conn, _ bool) net.Conn { return c },
		func(c net.Conn, serves bool) net.Conn {
			if serves {
				return tls.Server(c, server)
			}
			return tls.Client(c, client)
		},
	} {
		if took[i], err = sendAll(wrap, make([]byte, group*perWrite), rounds); err != nil {
			return 0, err
		}
	}
	followers := 2.0
	return followers * float64((took[1] - took[0]).Microseconds()) / (rounds * group), nil
}

// sendAll sends b again and again over one connection on loopback, and returns the
// processor time that this process took for both ends.
func sendAll(wrap func(c net.Conn, serves bool) net.Conn, b []byte, times int) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	received := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.CopyN(io.Discard, wrap(c, true), int64(len(b)*times))
		}
		received <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	before, err := used()
	if err != nil {
		return 0, err
	}
	w := wrap(c, false)
	for range times {
		if _, err := w.Write(b); err != nil {
			return 0, errors.Join(err, <-received)
		}
	}
	if err := <-received; err != nil {
		return 0, err
	}
	after, err := used()
	return after - before, err
}

// used is the processor time that this process has taken.
func used() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
