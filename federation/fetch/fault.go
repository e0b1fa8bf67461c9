package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"
)

// Kinds of failure, for errors.Is.
var (
	ErrRefused     = errors.New("refused")      // by the guard: asking again does not help
	ErrUnreachable = errors.New("unreachable")  // no answer in time
	ErrAnswer      = errors.New("wrong answer") // an answer, but not one that can be used
	ErrBusy        = errors.New("too many")     // too much is under way; later
)

// An Error says why a request of ours failed. It holds nothing that the other side sent,
// so that it may be shown to whoever registered the URL.
type Error struct {
	Kind   error  // ErrRefused, ErrUnreachable, ErrAnswer or ErrBusy
	What   string // what was asked for: the name of the document
	Host   string // host of the URL; may be empty
	Detail string // half a sentence: "its certificate is not trusted"
}

func (e *Error) Error() string {
	s := e.Detail
	if e.Host != "" {
		s = e.Host + ": " + s
	}
	if e.What != "" {
		s = e.What + " of " + s
	}
	return s
}

func (e *Error) Unwrap() error { return e.Kind }

// about completes err with what was asked for and where.
func about(err error, what, host string) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.What, c.Host = what, host
	return &c
}

// classify puts a failure of the transport in our own words: its own may quote what
// the other side sent.
func classify(err error) error {
	var (
		ours  *Error
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		host  x509.HostnameError
		isNet net.Error
	)
	unreachable := func(why string) error { return &Error{Kind: ErrUnreachable, Detail: why} }
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &dns) && dns.IsNotFound:
		return unreachable("its name does not resolve")
	case errors.As(err, &dns):
		return unreachable("its name could not be resolved")
	case errors.As(err, &host):
		return unreachable("its certificate is for another name")
	case errors.As(err, &cert):
		return unreachable("its certificate is not trusted")
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable("it refuses connections")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &isNet) && isNet.Timeout():
		return unreachable("no answer in time")
	case errors.Is(err, context.Canceled):
		return unreachable("the request was given up")
	}
	return unreachable("it does not answer as an HTTP server over TLS does")
}
