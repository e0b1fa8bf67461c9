package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection, against peers that are slow on purpose.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
	drainTime         = 10 * time.Second
)

// Serve answers the connections of l with h until ctx ends, then lets the requests under
// way finish (for ten seconds at most) and returns nil. cert may be nil: plain HTTP.
// Fail readiness and let load balancers notice before ending ctx.
func Serve(ctx context.Context, l net.Listener, h http.Handler, cert *Certificate, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // strangers' broken handshakes
	}
	failed := make(chan error, 1)
	go func() {
		if cert == nil {
			failed <- srv.Serve(l)
			return
		}
		srv.TLSConfig = cert.config()
		failed <- srv.ServeTLS(l, "", "")
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests cut off at the end of the drain time", "address", l.Addr().String())
		err = srv.Close()
	}
	<-failed
	return err
}
