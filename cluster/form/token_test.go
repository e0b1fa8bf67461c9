package form

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

func aToken(t testing.TB, rootKey bool) Token {
	t.Helper()
	a, err := wire.NewAuthority(newClusterID(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	k, err := newToken(a.ClusterID(), a.Cert, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTokenText(t *testing.T) {
	t.Parallel()
	for _, rootKey := range []bool{true, false} {
		k := aToken(t, rootKey)
		text := k.Text()
		for _, as := range []string{text, strings.ToUpper(text), " " + text + "\n", text[:50] + "\r\n  " + text[50:]} {
			got, err := ParseToken(as)
			if err != nil || got != k {
				t.Errorf("%q: %v", as, err)
			}
		}
		for _, printed := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q", k, k, k, k, k), k.LogValue().String()} {
			if strings.Contains(printed, text[60:90]) || !strings.Contains(printed, k.ID()) {
				t.Errorf("printed as %s", printed)
			}
		}
		for what, as := range map[string]string{
			"empty": "", "must begin with": "quis_pat_x", "cut short": text[:len(text)-1], "along with it": text + "a",
			"no token has": text[:20] + "!" + text[21:], "checksum": flip(text, 40),
		} {
			_, err := ParseToken(as)
			if err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), text[60:90]) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if a, b := aToken(t, true), aToken(t, true); a.ID() == b.ID() || a.verifier() == b.verifier() {
		t.Error("two tokens are one")
	}
}

// flip changes one character to another that tokens have.
func flip(text string, at int) string {
	with := "a"
	if text[at] == 'a' {
		with = "b"
	}
	return text[:at] + with + text[at+1:]
}

func FuzzParseToken(f *testing.F) {
	text := aToken(f, true).Text()
	for _, s := range []string{text, text[:80], flip(text, 12), flip(text, 129), tokenPrefix, "", "quis-join-" + strings.Repeat("a", 120)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseToken(s)
		if err != nil {
			if len(s) > 30 && strings.Contains(err.Error(), s) {
				t.Error("the text is repeated")
			}
			return
		}
		again, err := ParseToken(k.Text())
		if err != nil || again != k {
			t.Errorf("%q is not read as it is written: %v", s, err)
		}
	})
}

func TestNamesInJoinAreLookedUp(t *testing.T) {
	t.Parallel()
	hosts := map[string][]netip.Addr{
		"quis.example.com": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::3")},
		"a.example.com":    {netip.MustParseAddr("::ffff:10.0.0.9")},
	}
	looks := 0
	r := Resolver{
		Hosts: func(_ context.Context, name string) ([]netip.Addr, error) {
			looks++
			if found, ok := hosts[name]; ok {
				return found, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: name}
		},
		Services: func(_ context.Context, name string) ([]*net.SRV, error) {
			if name == "_quis._tcp.example.com" || name == "nodes.example.com" {
				return []*net.SRV{{Target: "a.example.com.", Port: 8300}, {Target: "gone.example.com.", Port: 8300}}, nil
			}
			return nil, errors.New("no such record")
		},
	}
	for entry, want := range map[string][]string{
		"10.0.0.1":               {"10.0.0.1:8300"},
		"10.0.0.1:9300":          {"10.0.0.1:9300"},
		"fd00::1":                {"[fd00::1]:8300"},
		"[fd00::1]:9300":         {"[fd00::1]:9300"},
		"quis.example.com":       {"10.0.0.1:8300", "10.0.0.2:8300", "[fd00::3]:8300"},
		"quis.example.com:9":     {"10.0.0.1:9", "10.0.0.2:9", "[fd00::3]:9"},
		"_quis._tcp.example.com": {"10.0.0.9:8300"},
		"srv:nodes.example.com":  {"10.0.0.9:8300"},
	} {
		if err := CheckPeer(entry); err != nil {
			t.Error(err)
		}
		got, faults := r.expand(t.Context(), []string{entry, entry})
		if !slices.Equal(got, want) || len(faults) > 0 {
			t.Errorf("%s: %v, %v; want %v", entry, got, faults, want)
		}
	}
	before := looks
	hosts["quis.example.com"] = hosts["quis.example.com"][:1] // a pod is gone: names are looked up again every time
	got, faults := r.expand(t.Context(), []string{"quis.example.com", "gone.example.com", "srv:none.example.com"})
	if !slices.Equal(got, []string{"10.0.0.1:8300"}) || len(faults) != 2 || looks <= before {
		t.Errorf("%v, %v", got, faults)
	}
	for _, bad := range []string{"", ":8300", "host:", "host:x", "host:0", "host:70000", "https://host:8300", "a b:1", "srv:a:1", "host:1:2"} {
		if CheckPeer(bad) == nil {
			t.Errorf("%q is taken for a peer", bad)
		}
	}
}

func TestJoinThroughANameOfManyAddresses(t *testing.T) {
	t.Parallel()
	root := testRoot
	a, b := newcomer(t, root, "a", 2), newcomer(t, root, "b", 2)
	name := Resolver{Services: func(context.Context, string) ([]*net.SRV, error) {
		var out []*net.SRV
		for _, s := range []*Self{a, b} {
			at := netip.MustParseAddrPort(s.port.Advertise())
			out = append(out, &net.SRV{Target: at.Addr().String(), Port: at.Port()})
		}
		return out, nil
	}}
	errs := make(chan error, 2)
	for _, s := range []*Self{a, b} {
		s.cfg.Join, s.cfg.Resolver = []string{"_quis._tcp.example.com"}, name
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := s.Form(ctx)
			if err == nil {
				err = s.Found(ctx)
			}
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if a.Identity().ClusterID != b.Identity().ClusterID {
		t.Error("two clusters")
	}
}
