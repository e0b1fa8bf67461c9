package main

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/dev"
)

// Exit codes. They are part of the interface: scripts rely on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitConflict    = 5
	exitUnavailable = 6

	exitDegraded = 2 // of `quis status` only
)

func exitCode(err error) int {
	var usage usageError
	var exit exitError
	var refusal *client.Error
	var network *net.OpError
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refusal):
		return codeOf(refusal.Status)
	case errors.Is(err, dev.ErrNotFound):
		return exitNotFound
	case errors.Is(err, dev.ErrState):
		return exitConflict
	case errors.Is(err, dev.ErrNoHouse), errors.Is(err, errNoNode), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, io.EOF), errors.As(err, &network): // gone, or never there
		return exitUnavailable
	case errors.Is(err, fs.ErrPermission):
		return exitDenied
	}
	return exitFailed
}

func codeOf(status int) int {
	switch status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusGatewayTimeout, http.StatusBadGateway:
		return exitUnavailable
	}
	return exitFailed
}
