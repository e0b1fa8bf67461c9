package daemon

import (
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls do at every SIGHUP until the function that it returns is called.
func onHangup(do func()) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-hangups:
				do()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(done)
	}
}

// reload reads again at once what is read again by itself anyway: the public certificate.
// Everything else of the configuration needs a restart, which costs nobody a request.
func (n *Node) reload() {
	if n.cert == nil {
		n.log.Info("nothing to read again: there is no public certificate")
		return
	}
	if err := n.cert.Reload(); err != nil {
		n.log.Error("certificate cannot be read, the old one stays", "error", err, "expires", n.cert.Expires())
		return
	}
	n.log.Info("certificate looked at", "expires", n.cert.Expires())
}
