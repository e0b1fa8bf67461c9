package audit

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var layouts = []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", time.DateTime}

// moment reads a point in time: how long before now it was, or a date or time, of this machine's
// zone unless it says its own. "" is the zero time.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	for _, l := range layouts {
		if err != nil {
			at, err = time.ParseInLocation(l, s, time.Local)
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, bad := strconv.ParseUint(days, 10, 16); bad == nil {
			at, err = now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, bad := time.ParseDuration(s); bad == nil {
		at, err = now.Add(-d), nil
	}
	switch {
	case err != nil:
		return time.Time{}, errors.New("is neither how long ago, such as 90m, 24h or 7d, nor a date or time, such as 2026-11-30 or 2026-11-30T14:00")
	case at.After(now):
		return time.Time{}, errors.New("is yet to come")
	}
	return at, nil
}
