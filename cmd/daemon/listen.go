package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// listen opens a TCP address that the setting key names.
func listen(key, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, explainListen(key, address, err)
	}
	return ln, nil
}

func explainListen(key, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is in use by another process: stop that one (`ss -ltnp` shows it), or choose another port", key, address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %s needs a privilege this user has not: choose a port above 1023, or grant CAP_NET_BIND_SERVICE", key, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s is not an address of this host", key, address)
	}
	return fmt.Errorf("%s: %w", key, err)
}

// listenSocket opens the local socket, which needs no token: only the owner of
// the node may use it. One that is there was left behind: we hold the directory.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("local socket: %w", readError(err))
	}
	short, done, err := ShortSocketPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.Listen("unix", short)
	if err != nil {
		return nil, fmt.Errorf("local socket %s: %w", path, err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(short == path)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("local socket: %w", err), ln.Close())
	}
	return ln, nil
}
