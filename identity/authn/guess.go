package authn

import (
	"context"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/authn/wave"
)

// A guess is an attempt at a name, as one of the many that somebody may be guessing at. A nil
// guess is none.
type guess struct {
	watch    *wave.Watch
	of       wave.Guess
	admitted bool
}

// guess begins an attempt at a name by password, or, without one, by a code. A browser in which
// nobody has signed in before is a stranger for sure, and may be told to wait before anything is
// read: what a flood of them costs is this.
func (fs *Flows) guess(ctx context.Context, f *Flow, login, password string) (*guess, error) {
	g := &guess{watch: fs.waves, of: fs.waves.Guess(ctx, f.Need.Tenant, f.ID, nameOf(login), password)}
	if fs.Known(f) == "" {
		if fs.attempts.Full() {
			return g, TooMany(time.Second)
		}
		if err := g.take(); err != nil {
			return g, err
		}
	}
	if f.Admitted != nil {
		f.Admitted()
	}
	return g, nil
}

func (g *guess) take() error {
	g.admitted = true
	if wait := g.watch.Admit(g.of); wait > 0 {
		return TooMany(wait)
	}
	return nil
}

// admit asks strangers for the pace that guessing at many names has brought about. Whoever comes
// with a browser in which the user has signed in before is not asked.
func (g *guess) admit(who *subject) error {
	if g == nil || g.admitted || throttle.Known(who.sources) {
		return nil
	}
	return g.take()
}

// failed counts a wrong guess, if it was a stranger's: the owner who mistypes is no attack.
func (g *guess) failed(stranger bool) {
	if g != nil && stranger {
		g.watch.Failed(g.of)
	}
}

func (g *guess) passed() {
	if g != nil {
		g.watch.Passed(g.of)
	}
}

// TooMany is the error of who has to wait before they try again.
func TooMany(wait time.Duration) error {
	return identity.Limited("Too many attempts. Wait a moment and try again.", wait)
}

// Known returns who has signed in before in the browser of a flow; empty if nobody has. Limits
// by address spare it, and count it by this name: all browsers of one person together, or who
// has an account could get as many as they like.
func (fs *Flows) Known(f *Flow) string { return fs.KnownIn(f.Need.Tenant, f.Browser.Device) }

// KnownIn is Known by the browser's Result.Device, before there is a flow.
func (fs *Flows) KnownIn(tenant, device string) string {
	return fs.openDevice(tenant, device).UserID
}
