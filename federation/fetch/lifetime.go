package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAge is how long an answer may be kept by what it says itself (RFC 9111, section
// 5.2.2): 0 for not at all, negative if it says nothing.
func maxAge(h http.Header) time.Duration {
	age := time.Duration(-1)
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-store", "no-cache", "must-understand":
				return 0
			case "max-age":
				n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
				if err != nil || n < 0 {
					return 0
				}
				age = time.Duration(n) * time.Second
			}
		}
	}
	if n, err := strconv.ParseInt(h.Get("Age"), 10, 32); err == nil && n > 0 && age >= 0 {
		age = max(0, age-time.Duration(n)*time.Second)
	}
	return age
}
