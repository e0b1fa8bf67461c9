package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A larder is a cache before a server whose answers the test chooses, with a clock of its own.
type larder struct {
	*Cache[string]
	url   string
	asked atomic.Int32
	serve atomic.Pointer[http.HandlerFunc]
	clock atomic.Int64
}

func newLarder(t *testing.T, k Keeping) *larder {
	t.Helper()
	l := &larder{}
	l.serves(answer("one"))
	c, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		(*l.serve.Load())(w, r)
	})
	l.url = s.URL
	l.Cache = NewCache(c, things, k, func(b []byte) (string, error) {
		switch string(b) {
		case "bad":
			return "", errors.New("it is bad")
		case "panic":
			panic("hush")
		}
		return string(b), nil
	})
	start := time.Now()
	l.now = func() time.Time { return start.Add(time.Duration(l.clock.Load())) }
	return l
}

func (l *larder) serves(h http.HandlerFunc) { l.serve.Store(&h) }
func (l *larder) passes(d time.Duration)    { l.clock.Add(int64(d)) }
func (l *larder) want(t *testing.T, get func() (string, error), value string, asked int32) {
	t.Helper()
	v, err := get()
	if v != value || (err == nil) != (value != "") || l.asked.Load() != asked {
		t.Errorf("%q %v after %d requests, want %q after %d", v, err, l.asked.Load(), value, asked)
	}
}

func TestCacheKeepsAsLongAsItMay(t *testing.T) {
	t.Parallel()
	l := newLarder(t, Standard)
	get := func() (string, error) { return l.Get(t.Context(), l.url) }
	l.want(t, get, "one", 1)
	l.serves(answer("two"))
	l.passes(119 * time.Second)
	l.want(t, get, "one", 1)
	l.passes(2 * time.Second)
	l.want(t, get, "two", 2)
}

func TestRenewAsksOncePerInterval(t *testing.T) {
	t.Parallel()
	l := newLarder(t, Standard)
	renew := func() (string, error) { return l.Renew(t.Context(), l.url) }
	l.want(t, renew, "one", 1)
	l.serves(answer("two"))
	for range 50 {
		l.want(t, renew, "one", 1)
	}
	l.passes(31 * time.Second)
	l.want(t, renew, "two", 2)
}

func TestFailuresAreKeptForAnInterval(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"bad", "panic"} {
		l := newLarder(t, Standard)
		l.serves(answer(body))
		get := func() (string, error) { return l.Get(t.Context(), l.url) }
		for range 20 {
			l.want(t, get, "", 1)
		}
		_, err := get()
		if !errors.Is(err, ErrAnswer) || strings.Contains(err.Error(), "hush") {
			t.Error(err)
		}
		l.serves(answer("one"))
		l.passes(31 * time.Second)
		l.want(t, get, "one", 2)
	}
}

func TestStaleIsUsedWhileTheHostIsDown(t *testing.T) {
	t.Parallel()
	l := newLarder(t, Standard)
	get := func() (string, error) { return l.Get(t.Context(), l.url) }
	l.want(t, get, "one", 1)
	l.serves(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", 500) })
	l.passes(121 * time.Second)
	l.want(t, get, "one", 2)
	l.want(t, get, "one", 2)
	l.passes(11 * time.Minute)
	l.want(t, get, "", 3)
}

func TestManyAskOnce(t *testing.T) {
	t.Parallel()
	l := newLarder(t, Standard)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if v, err := l.Get(t.Context(), l.url); v != "one" || err != nil {
				t.Errorf("%q %v", v, err)
			}
		})
	}
	wg.Wait()
	if n := l.asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	k := Standard
	k.Entries, k.Bytes = 10, 10
	l := newLarder(t, k)
	for i := range 25 {
		if _, err := l.Get(t.Context(), fmt.Sprintf("%s/%d", l.url, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.recent.Len(); n > 10 || n != len(l.entries) || l.bytes > 10 || l.bytes < 0 {
		t.Errorf("%d entries, %d in the map, %d bytes", n, len(l.entries), l.bytes)
	}
}

func TestCacheRefusesBeforeItKeeps(t *testing.T) {
	t.Parallel()
	l := newLarder(t, Standard)
	for range 3 {
		if _, err := l.Get(t.Context(), "https://10.0.0.1/"); !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	}
	if len(l.entries) != 0 {
		t.Error("a refused URL takes room")
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"": -1, "public": -1, "max-age=60": time.Minute, "Public, Max-Age=\"60\"": time.Minute, "no-store, max-age=60": 0, "no-cache": 0,
		"max-age=-1": 0, "max-age=x": 0, "max-age=99999999999999": 0, "max-age": 0,
	} {
		if got := maxAge(http.Header{"Cache-Control": {in}}); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
	if got := maxAge(http.Header{"Cache-Control": {"max-age=60"}, "Age": {"45"}}); got != 15*time.Second {
		t.Error(got)
	}
}
