package certificate

import (
	"encoding/asn1"
	"strings"
	"testing"
)

func TestParseUPNs(t *testing.T) {
	t.Parallel()
	utf8 := func(text string) string {
		der, err := asn1.MarshalWithParams(text, "utf8")
		if err != nil {
			t.Fatal(err)
		}
		return string(der)
	}
	wrap := func(tag byte, inner string) string { return string([]byte{tag, byte(len(inner))}) + inner }
	oid := "\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03"
	upn := wrap(0xa0, oid+wrap(0xa0, utf8("ann@corp.example")))
	for name, c := range map[string]struct{ der, want string }{
		"one":                        {wrap(0x30, upn), "ann@corp.example"},
		"two":                        {wrap(0x30, upn+upn), "ann@corp.example ann@corp.example"},
		"beside an address":          {wrap(0x30, wrap(0x81, "a@b.c")+upn), "ann@corp.example"},
		"another type":               {wrap(0x30, wrap(0xa0, "\x06\x03\x2a\x03\x04"+wrap(0xa0, utf8("ann@corp.example")))), ""},
		"nothing":                    {wrap(0x30, ""), ""},
		"no sequence":                {"\x31\x00", "!"},
		"empty":                      {"", "!"},
		"something behind":           {wrap(0x30, upn) + "\x00", "!"},
		"something behind the value": {wrap(0x30, wrap(0xa0, oid+wrap(0xa0, utf8("a"))+"\x05\x00")), "!"},
		"two texts in one":           {wrap(0x30, wrap(0xa0, oid+wrap(0xa0, utf8("a")+utf8("b")))), "!"},
		"not a UTF8String":           {wrap(0x30, wrap(0xa0, oid+wrap(0xa0, "\x16\x01a"))), "!"},
		"value without its tag":      {wrap(0x30, wrap(0xa0, oid+utf8("a"))), "!"},
		"cut off":                    {wrap(0x30, upn)[:20], "!"},
	} {
		got, err := parseUPNs([]byte(c.der))
		if (err != nil) != (c.want == "!") || err == nil && strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzUPNs: whatever stands there, names are texts that were in it, and nothing panics.
func FuzzUPNs(f *testing.F) {
	f.Add([]byte("\x30\x21\xa0\x1f\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x11\x0c\x0fann@corp.exampl"))
	f.Add([]byte{0x30, 0})
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		upns, err := parseUPNs(der)
		if err != nil && upns != nil {
			t.Fatal("names of what is broken")
		}
		for _, upn := range upns {
			if !strings.Contains(string(der), upn) {
				t.Fatalf("%q is not in it", upn)
			}
		}
	})
}

// FuzzRule: a rule that is read is written the same, and none takes a name for a name in a
// domain that it is not in.
func FuzzRule(f *testing.F) {
	f.Add("upn=username@example.com", "ann@example.com")
	f.Add("email=email", "@")
	f.Add("a=b@c@d", "a@c@d")
	f.Fuzz(func(t *testing.T, text, name string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		if r.String() != text {
			t.Fatalf("%q is %q", text, r)
		}
		if local, ok := within(name, r.Domain); ok && !strings.EqualFold(local+"@"+r.Domain, name) {
			t.Fatalf("%q in %q is %q", name, r.Domain, local)
		}
	})
}

// FuzzIssuingPoint: a list is not taken for whole by what cannot be read.
func FuzzIssuingPoint(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add([]byte{0x30, 3, 0x81, 1, 0xff})
	f.Add([]byte{0x30, 3, 0x82, 1, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		if (scope{}).covers(der) && !(scope{people: true, point: "http://x/"}).covers(der) {
			t.Fatal("what tells of all does not tell of some")
		}
	})
}
