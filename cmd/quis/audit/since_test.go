package audit

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 14, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"":                     {},
		"0s":                   now,
		"90m":                  now.Add(-90 * time.Minute),
		"7d":                   time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local),
		"2026-11-30":           time.Date(2026, 11, 30, 0, 0, 0, 0, time.Local),
		"2026-11-30T13:59":     now.Add(-time.Minute),
		"2026-11-30 13:59:01":  now.Add(-59 * time.Second),
		"2026-10-01T00:00:00Z": time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "7", "-1h", "-1d", "1.5d", "2026-12-01", "2026-13-01", "d", " "} {
		if got, err := moment(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// FuzzMoment: whatever is read is not to come.
func FuzzMoment(f *testing.F) {
	f.Add("24h")
	f.Add("7d")
	f.Add("2026-11-30T14:00")
	f.Fuzz(func(t *testing.T, text string) {
		if now := time.Now(); text != "" {
			if at, err := moment(text, now); err == nil && at.After(now) {
				t.Errorf("%q: %v", text, at)
			}
		}
	})
}
