package totp_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/totp"
)

func TestURI(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for _, c := range []struct {
		label  totp.Label
		params totp.Parameters
		want   string // with S for the secret; empty: refused
	}{
		{label, totp.Parameters{}, "otpauth://totp/Example:alice%40example.org?secret=S&issuer=Example&algorithm=SHA1&digits=6&period=30"},
		{
			totp.Label{Issuer: "Ex: ample & Söhne", Account: "a:b+c"}, totp.Parameters{totp.SHA256, 8, 60},
			"otpauth://totp/Ex%20ample%20%26%20S%C3%B6hne:a%20b%2Bc?secret=S&issuer=Ex%20ample%20%26%20S%C3%B6hne&algorithm=SHA256&digits=8&period=60",
		},
		{totp.Label{Issuer: " : ", Account: "a"}, totp.Parameters{}, ""},
		{totp.Label{Issuer: "a"}, totp.Parameters{}, ""},
		{label, totp.Parameters{Digits: 4}, ""},
		{label, totp.Parameters{Algorithm: "MD5"}, ""},
		{label, totp.Parameters{Seconds: 1}, ""},
	} {
		h.view(t, 0, func(tx *fsm.Tx) error {
			e, err := totp.Begin(tx, h.rings[0], ten, alice, c.label, c.params)
			if c.want == "" {
				if !errors.Is(err, identity.ErrInvalid) {
					t.Errorf("%+v: %v", c, err)
				}
				return nil
			}
			if err != nil {
				return err
			}
			secret := strings.ReplaceAll(e.Secret.Reveal(), " ", "")
			if got := strings.Replace(e.URI.Reveal(), secret, "S", 1); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			return nil
		})
	}
}

// Whatever a tenant or a user is called, apps read the same issuer twice, and the account.
func FuzzURI(f *testing.F) {
	f.Add("Example", "alice@example.org")
	f.Add("a:b%3Ac/?#&=+", "\x00\xff:\u202e ")
	h := newHouse(f, 1)
	f.Fuzz(func(t *testing.T, issuer, account string) {
		h.view(t, 0, func(tx *fsm.Tx) error {
			e, err := totp.Begin(tx, h.rings[0], ten, alice, totp.Label{Issuer: issuer, Account: account}, totp.Parameters{})
			if err != nil {
				return nil
			}
			u, err := url.Parse(e.URI.Reveal())
			if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
				t.Fatalf("%s: %v", e.URI.Reveal(), err)
			}
			in, of, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
			if !ok || in == "" || of == "" || strings.Contains(of, ":") || u.Query().Get("issuer") != in || len(u.Query()) != 5 {
				t.Errorf("%q, %q: %s", issuer, account, e.URI.Reveal())
			}
			if e.QR.Size < 29 || !strings.HasPrefix(e.QR.Path, "M4 4h7v1h-7z") {
				t.Errorf("QR of %d: %.40s", e.QR.Size, e.QR.Path)
			}
			return nil
		})
	})
}
