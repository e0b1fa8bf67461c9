package fetch

import (
	"errors"
	"net/netip"
	"testing"
)

func TestGuardRefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:0:7f00:1::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1",
		"fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1",
	} {
		if err := c.checkAddress(netip.AddrPortFrom(netip.MustParseAddr(s), 443)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s is not refused: %v", s, err)
		}
	}
	if err := c.checkAddress(netip.AddrPort{}); !errors.Is(err, ErrRefused) {
		t.Errorf("no address: %v", err)
	}
}

func TestGuardAllowsPublicAddressesOnKnownPorts(t *testing.T) {
	t.Parallel()
	c := New(Config{Ports: []uint16{443, 8443}})
	for _, s := range []string{"8.8.8.8:443", "100.128.0.1:443", "172.32.0.1:8443", "[2606:4700::1111]:443", "[2a00::1]:8443"} {
		if err := c.checkAddress(netip.MustParseAddrPort(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"8.8.8.8:22", "8.8.8.8:80", "[2606:4700::1111]:6379", "8.8.8.8:0"} {
		if err := c.checkAddress(netip.MustParseAddrPort(s)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s is not refused: %v", s, err)
		}
	}
}

func TestGuardAllowsWhatOperatorsOpened(t *testing.T) {
	t.Parallel()
	c := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}})
	for s, want := range map[string]bool{
		"10.1.2.3:8443": true, "[fd00:1::1]:9000": true, "[::ffff:10.1.2.3]:443": true,
		"10.2.0.1:443": false, "[fd00:2::1]:443": false, "127.0.0.1:443": false,
	} {
		if err := c.checkAddress(netip.MustParseAddrPort(s)); (err == nil) != want {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestCheckRefusesURLForms(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	for _, raw := range []string{
		"", "x", "/jwks", "//example.com/x", "http://example.com/x", "http://localhost/x", "https://localhost/x", "https://a.localhost/x",
		"https://LOCALHOST/", "https://127.0.0.1/x", "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/",
		"https://127.1/", "https://017700000001/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
		"https://[64:ff9b::127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[fd00::1]/", "https://169.254.169.254/latest/meta-data",
		"https://user@example.com/", "https://user:pass@example.com/", "https://example.com@127.0.0.1/", "https://example.com/#f", "https://example.com/#",
		"https://example.com:22/", "https://example.com:0/", "https://example.com:99999/", "https://example.com:/", "https:///x", "https:example.com",
		"https://exa mple.com/", "https://example.com\\@127.0.0.1/", "https://ex\u00e4mple.com/", "https://example.com./", "https://a..b/",
		"https://127%2e0%2e0%2e1/", "https://①②⑦.0.0.1/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)", "data:,x", "ftp://example.com/",
		"https://example.com/\n", "https://example.com/\x00", "unix:///run/quis.sock",
	} {
		if err := c.Check(raw); !errors.Is(err, ErrRefused) {
			t.Errorf("%q is not refused: %v", raw, err)
		}
	}
	for _, raw := range []string{"https://example.com", "https://example.com/jwks?x=1", "https://8.8.8.8/", "https://EXAMPLE.com:443/", "https://xn--exmple-cua.com/", "https://[2606:4700::1111]/"} {
		if err := c.Check(raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestLoopbackIsForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	dev := New(Config{Loopback: true})
	for raw, want := range map[string]bool{
		"http://localhost:9000/jwks": true, "http://127.0.0.1:1/x": true, "http://[::1]:8090/": true, "https://127.0.0.1:8443/": true,
		"http://example.com/": false, "http://10.0.0.1/": false, "https://10.0.0.1/": false, "http://169.254.169.254/": false,
	} {
		if err := dev.Check(raw); (err == nil) != want {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// Plain HTTP is for what is signed itself, on ports that operators opened, and to nowhere else than HTTPS.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	open := New(Config{Ports: []uint16{443, 80}})
	for _, c := range []struct {
		client *Client
		raw    string
		want   bool
	}{
		{open.Plain(), "http://ca.example.com/people.crl", true},
		{open.Plain(), "https://ca.example.com/people.crl", true},
		{open.Plain(), "http://ca.example.com:8080/people.crl", false},
		{open.Plain(), "http://localhost/people.crl", false},
		{open.Plain(), "http://169.254.169.254/latest/meta-data", false},
		{open.Plain(), "http://10.0.0.1/people.crl", false},
		{open.Plain(), "ldap://ca.example.com/people.crl", false},
		{New(Config{}).Plain(), "http://ca.example.com/people.crl", false},
		{open, "http://ca.example.com/people.crl", false},
		{open.Apart(), "http://ca.example.com/people.crl", false},
	} {
		if err := c.client.Check(c.raw); (err == nil) != c.want {
			t.Errorf("%s: %v, want %v", c.raw, err, c.want)
		}
	}
	if err := CheckURL("http://ca.example.com/people.crl"); err == nil {
		t.Error("applications may name plain HTTP")
	}
}

func FuzzAddressGuard(f *testing.F) {
	for _, s := range []string{"https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://0x7f.1/", "https://example.com:443/a", "https://[2002::1]:443/"} {
		f.Add(s)
	}
	c := New(Config{})
	f.Fuzz(func(t *testing.T, raw string) {
		if c.Check(raw) != nil {
			return
		}
		u, err := parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || portOf(u) != 443 || local(u.Hostname()) {
			t.Fatalf("%q passed: %v", raw, err)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || !a.IsGlobalUnicast() || a.Is4In6()) {
			t.Fatalf("%q passed", raw)
		}
	})
}
