package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
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
	var cfg *tls.Config
	if cert != nil {
		cfg = cert.config(cert.AskClients)
	}
	return serveOn(ctx, l, h, cfg, log)
}

// ServePeople is Serve for a listener of its own that asks people's browsers for certificates,
// and answers nothing but where that is what for; everything else leads to home. Each connection is
// proven anew: a card that was taken out must not live on in a session ticket.
func ServePeople(ctx context.Context, l net.Listener, h http.Handler, cert *Certificate, home string, log *slog.Logger) error {
	cfg := cert.config(true)
	cfg.SessionTicketsDisabled = true
	return serveOn(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // the next time the browser may choose another certificate
		wanted := strings.HasSuffix(r.URL.Path, peoplePath) || strings.HasPrefix(r.URL.Path, "/assets/")
		if !wanted || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Redirect(w, r, home, http.StatusSeeOther)
			return
		}
		h.ServeHTTP(w, r)
	}), cfg, log)
}

// peoplePath is where browsers are asked for certificates, within a tenant.
const peoplePath = "/login/certificate"

func serveOn(ctx context.Context, l net.Listener, h http.Handler, cfg *tls.Config, log *slog.Logger) error {
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
		if cfg == nil {
			failed <- srv.Serve(l)
			return
		}
		srv.TLSConfig = cfg
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
