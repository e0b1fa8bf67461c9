package daemon

import (
	"io"
	"log/slog"
	"os"
)

// newLogger writes to w: text for a person at a terminal, JSON for a machine.
func newLogger(w io.Writer, c *Config) *slog.Logger {
	format := c.Log.Format
	if format == "auto" || format == "" {
		format = "json"
		if f, ok := w.(*os.File); ok && IsTerminal(f) {
			format = "text"
		}
	}
	options := &slog.HandlerOptions{Level: c.Log.Level}
	var h slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" {
		h = slog.NewTextHandler(w, options)
	}
	return slog.New(h)
}

// IsTerminal reports whether a person looks at f.
func IsTerminal(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(fi, null)
}
