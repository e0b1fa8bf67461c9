package fetch

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Keeping says how a cache keeps what it fetched.
type Keeping struct {
	Min, Max time.Duration // bounds of how long a document is good, whatever it says; Min is not below Interval
	Default  time.Duration // how long if it says nothing
	Stale    time.Duration // how much longer it is used while it cannot be fetched anew
	Interval time.Duration // one URL is not asked more often, whether it worked or not
	Entries  int           // documents at most
	Bytes    int           // of all of them as they came
}

// Standard suits documents that change rarely and are needed by every request.
var Standard = Keeping{
	Min: time.Minute, Max: 24 * time.Hour, Default: 10 * time.Minute, Stale: 10 * time.Minute,
	Interval: 30 * time.Second, Entries: 1000, Bytes: 16 << 20,
}

// A Cache keeps documents as what parse makes of them. Failures are kept as well, for
// one interval. It is safe for concurrent use.
type Cache[T any] struct {
	client   *Client
	document Document
	keep     Keeping
	parse    func([]byte) (T, error)
	now      func() time.Time

	mu      sync.Mutex
	entries map[string]*list.Element // guarded by mu; of *entry[T]
	recent  *list.List               // guarded by mu; last used first
	bytes   int                      // guarded by mu
}

type entry[T any] struct {
	url    string
	value  T
	has    bool          // value was fetched once
	size   int           // bytes of value as it came
	good   time.Time     // until then value needs no look
	tried  time.Time     // when it was last asked for
	err    error         // of that time
	flight chan struct{} // closed when the request under way has ended; nil: none is
}

// NewCache returns an empty cache. parse runs once for each document that was fetched;
// what it says is wrong must not quote the document.
func NewCache[T any](c *Client, d Document, k Keeping, parse func([]byte) (T, error)) *Cache[T] {
	k.Min = max(k.Min, k.Interval)
	return &Cache[T]{
		client: c, document: d, keep: k, parse: parse, now: time.Now,
		entries: map[string]*list.Element{}, recent: list.New(),
	}
}

// Get returns what is at url, fetched now if it must be. Errors are *Error.
func (c *Cache[T]) Get(ctx context.Context, url string) (T, error) {
	return c.get(ctx, url, func(e *entry[T], now time.Time) bool { return e.has && now.Before(e.good) })
}

// Renew is Get for who did not find in the document what must be there, a new key for
// example: it is fetched anew, unless it was within the interval.
func (c *Cache[T]) Renew(ctx context.Context, url string) (T, error) {
	return c.get(ctx, url, func(*entry[T], time.Time) bool { return false })
}

func (c *Cache[T]) get(ctx context.Context, url string, enough func(*entry[T], time.Time) bool) (T, error) {
	var zero T
	if err := c.client.Check(url); err != nil {
		return zero, about(err, c.document.Name, "")
	}
	c.mu.Lock()
	now := c.now()
	e := c.find(url)
	if enough(e, now) || e.flight == nil && !e.tried.IsZero() && now.Sub(e.tried) < c.keep.Interval {
		defer c.mu.Unlock()
		return c.answer(e, now)
	}
	if e.flight == nil {
		e.flight = make(chan struct{})
		go c.fly(context.WithoutCancel(ctx), e) // others wait for it too: it outlives who asked first
	}
	flight := e.flight
	c.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return zero, &Error{Kind: ErrUnreachable, What: c.document.Name, Detail: "no answer in time"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer(e, c.now())
}

// answer gives what is known. c.mu is held.
func (c *Cache[T]) answer(e *entry[T], now time.Time) (T, error) {
	if e.has && (e.err == nil || now.Before(e.good.Add(c.keep.Stale))) {
		return e.value, nil
	}
	var zero T
	return zero, e.err
}

// fly fetches the document of e once.
func (c *Cache[T]) fly(ctx context.Context, e *entry[T]) {
	var value T
	a, err := c.client.Get(ctx, e.url, c.document)
	if err == nil {
		value, err = c.read(a.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	close(e.flight)
	e.flight, e.tried, e.err = nil, now, err
	if err != nil {
		return
	}
	age := a.MaxAge
	if age < 0 {
		age = c.keep.Default
	}
	e.value, e.has, e.good = value, true, now.Add(min(max(age, c.keep.Min), c.keep.Max))
	if at, kept := c.entries[e.url]; kept && at.Value == e {
		c.bytes += len(a.Body) - e.size
		e.size = len(a.Body)
		c.shrink()
	}
}

// read parses a document. It runs on a goroutine of ours, where a panic over what a
// stranger wrote would end the node.
func (c *Cache[T]) read(body []byte) (value T, err error) {
	defer func() {
		if recover() != nil {
			err = &Error{Kind: ErrAnswer, What: c.document.Name, Detail: "it cannot be read"}
		}
	}()
	if value, err = c.parse(body); err != nil {
		err = &Error{Kind: ErrAnswer, What: c.document.Name, Detail: err.Error()}
	}
	return value, err
}

// find returns the entry of url, a new one if need be. c.mu is held.
func (c *Cache[T]) find(url string) *entry[T] {
	if at, ok := c.entries[url]; ok {
		c.recent.MoveToFront(at)
		return at.Value.(*entry[T])
	}
	e := &entry[T]{url: url}
	c.entries[url] = c.recent.PushFront(e)
	c.shrink()
	return e
}

// shrink forgets what was used longest ago, but never the newest. c.mu is held.
func (c *Cache[T]) shrink() {
	for c.recent.Len() > 1 && (c.recent.Len() > c.keep.Entries || c.bytes > c.keep.Bytes) {
		e := c.recent.Remove(c.recent.Back()).(*entry[T])
		delete(c.entries, e.url)
		c.bytes -= e.size
	}
}
