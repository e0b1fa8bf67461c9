package fetch

import (
	"context"
	"net"
	"slices"
)

// Dial opens a connection to host:port for another protocol than HTTP, under the same rules
// as every request: public addresses, on the given ports and those of the configuration,
// and what operators opened. Errors are *Error, in our own words.
func (c *Client) Dial(ports ...uint16) func(ctx context.Context, network, address string) (net.Conn, error) {
	guard := *c
	guard.ports = slices.Concat(c.ports, ports)
	dialer := &net.Dialer{Timeout: connectTimeout, Resolver: c.resolver, ControlContext: guard.control}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, classify(err)
		}
		return conn, nil
	}
}
