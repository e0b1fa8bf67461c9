package checkup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Reason says in a few words why nobody was reached.
func Reason(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &op) && op.Timeout():
		return "no answer in time"
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// port returns the port of an address, or the address if it has none.
func port(address string) string {
	if _, p, err := net.SplitHostPort(address); err == nil {
		return p
	}
	return address
}

// listed is " 1.0 on a b; 1.1 on c", in the order of the names.
func listed(of map[string]string) string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, " "+v+" on"+of[v])
	}
	return strings.Join(parts, ";")
}

// size writes bytes for a person.
func size(n uint64) string {
	const unit = 1 << 10
	v, i := float64(n), 0
	for v >= unit && i < 4 {
		v, i = v/unit, i+1
	}
	return fmt.Sprintf("%.3g %s", v, [...]string{"bytes", "KiB", "MiB", "GiB", "TiB"}[i])
}
