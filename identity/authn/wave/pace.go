package wave

import "time"

const maxPaced = 50_000 // sources in one generation

// paces remember when the last attempt of a source was let through. Strangers choose the
// sources, so the oldest half is forgotten when there are too many, and whatever is older than
// any pace.
type paces struct {
	young, old map[string]time.Time
	turned     time.Time
}

func (p *paces) last(source string) time.Time {
	if t, ok := p.young[source]; ok {
		return t
	}
	return p.old[source]
}

func (p *paces) note(source string, now time.Time) {
	if p.young == nil || len(p.young) >= maxPaced || now.Sub(p.turned) >= longestPace {
		p.old, p.young, p.turned = p.young, map[string]time.Time{}, now
	}
	p.young[source] = now
}

func (p *paces) forget(source string) {
	delete(p.young, source)
	delete(p.old, source)
}
