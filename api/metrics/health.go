package metrics

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// A Check is one condition of readiness.
type Check struct {
	Name string                          // short, stable, such as "leader"
	Run  func(ctx context.Context) error // nil: holds; else what is missing, in words for an operator
}

// checkTimeout bounds all checks of one request together; a probe waits one to a few seconds.
const checkTimeout = 800 * time.Millisecond

// Live answers /livez: 200 as long as the process answers at all.
func Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, r, http.StatusOK, health{Status: "alive"})
	})
}

// Ready answers /readyz: 200 while every check holds, else 503 with the failing ones.
// ?verbose lists those that hold as well. With reasons, it says why one fails; a reason
// may name nodes and addresses and is not for strangers.
func Ready(reasons bool, checks ...Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		verbose := r.URL.Query().Has("verbose")
		answer, status := health{Status: "ready"}, http.StatusOK
		for _, c := range checks {
			err := c.Run(ctx)
			if err != nil {
				answer.Status, status = "not ready", http.StatusServiceUnavailable
			}
			if verbose || err != nil {
				answer.Checks = append(answer.Checks, c.outcome(err, reasons))
			}
		}
		if status != http.StatusOK {
			w.Header().Set("Retry-After", "1")
		}
		writeJSON(w, r, status, answer)
	})
}

type health struct {
	Status string    `json:"status"`
	Checks []outcome `json:"checks,omitempty"`
}

type outcome struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

func (c Check) outcome(err error, reasons bool) outcome {
	o := outcome{Name: c.Name, OK: err == nil}
	if err != nil && reasons {
		o.Reason = err.Error()
	}
	return o
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(v) // the probe has left: nobody to tell
	}
}
