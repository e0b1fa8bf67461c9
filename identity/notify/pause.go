package notify

import "time"

// retryPause is how long a code or a link, which nobody wants late, waits after the nth attempt
// failed. Many servers put off who comes for the first time (greylisting), and take it a
// little later.
func retryPause(n int) time.Duration {
	if n < 2 {
		return 2 * time.Second
	}
	return 15 * time.Second
}
