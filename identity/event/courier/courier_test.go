package courier_test

import (
	"testing"
	"time"

	"github.com/quis-idp/quis/identity/event/courier"
)

func TestPauseGrows(t *testing.T) {
	t.Parallel()
	last := time.Duration(0)
	for n := 1; n <= 9; n++ {
		p := courier.Pause(n)
		if p < last || p > courier.LongestPause*5/4 {
			t.Errorf("pause %d is %v after %v", n, p, last)
		}
		last = p // twice as long, a quarter more or less: never shorter
	}
	if p := courier.Pause(1000); p < courier.LongestPause*3/4 || p > courier.LongestPause*5/4 {
		t.Errorf("pause 1000 is %v", p)
	}
}
