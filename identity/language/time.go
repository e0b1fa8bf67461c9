package language

import (
	"embed"
	"strconv"
	"time"
)

//go:embed texts
var files embed.FS

// own are the sentences about time, which many rooms need.
var own = New(map[string]string{
	"duration.seconds#one":   "a second",
	"duration.seconds#other": "%d seconds",
	"duration.minutes#one":   "a minute",
	"duration.minutes#other": "%d minutes",
	"duration.hours#one":     "an hour",
	"duration.hours#other":   "%d hours",
	"duration.days#one":      "a day",
	"duration.days#other":    "%d days",

	"ago.now":           "just now",
	"ago.minutes#one":   "a minute ago",
	"ago.minutes#other": "%d minutes ago",
	"ago.hours#one":     "an hour ago",
	"ago.hours#other":   "%d hours ago",
	"ago.days#one":      "yesterday",
	"ago.days#other":    "%d days ago",

	"date":     "%[1]s %[2]s %[3]s", // day, month, year
	"month.1":  "January",
	"month.2":  "February",
	"month.3":  "March",
	"month.4":  "April",
	"month.5":  "May",
	"month.6":  "June",
	"month.7":  "July",
	"month.8":  "August",
	"month.9":  "September",
	"month.10": "October",
	"month.11": "November",
	"month.12": "December",
	"moment":   "%[1]s at %[2]s", // date, time of day
}, files)

func mine(t Tag, key string, args ...any) string {
	s, err := own.Text(t, key, args...)
	if err != nil {
		panic("language: " + err.Error())
	}
	return s
}

// Duration writes d in the largest unit that it has two of, as in “try again in 90
// seconds”. It rounds up: who waits as long as that is let in. Where words have cases it is
// the accusative: a translation says “please wait another %s”.
func Duration(t Tag, d time.Duration) string {
	up := func(unit time.Duration) int { return int((d + unit - 1) / unit) }
	switch {
	case d <= time.Minute-time.Second:
		return mine(t, "duration.seconds", max(up(time.Second), 1))
	case d <= time.Hour-time.Minute:
		return mine(t, "duration.minutes", up(time.Minute))
	case d <= 47*time.Hour:
		return mine(t, "duration.hours", up(time.Hour))
	}
	return mine(t, "duration.days", up(24*time.Hour))
}

// Ago writes how long ago something was; beyond a month, on which day.
func Ago(t Tag, at, now time.Time) string {
	switch d := now.Sub(at); {
	case d < time.Minute:
		return mine(t, "ago.now")
	case d < time.Hour:
		return mine(t, "ago.minutes", int(d/time.Minute))
	case d < 24*time.Hour:
		return mine(t, "ago.hours", int(d/time.Hour))
	case d < 31*24*time.Hour:
		return mine(t, "ago.days", int(d/(24*time.Hour)))
	}
	return Date(t, at)
}

// Date writes the day of at in UTC with the month as a word, since the order of numbers
// alone is another in every country.
func Date(t Tag, at time.Time) string {
	at = at.UTC()
	return mine(t, "date", strconv.Itoa(at.Day()), mine(t, "month."+strconv.Itoa(int(at.Month()))), strconv.Itoa(at.Year()))
}

// Moment writes day and time of at in UTC, and says so.
func Moment(t Tag, at time.Time) string {
	return mine(t, "moment", Date(t, at), at.UTC().Format("15:04")+" UTC")
}
