package federation_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/identity"
)

func registers(uris ...string) (*federation.Application, error) {
	a := &federation.Application{Tenant: tenant, Name: "x", Type: federation.TypeOIDC, TokenExpiry: 3600, GrantTypes: []string{federation.GrantCode}, RedirectURIs: uris}
	return a, a.Check()
}

func TestPatternMatchesTheWholeURI(t *testing.T) {
	t.Parallel()
	// The pattern of the contract.
	a, err := registers(`regex:^https://app\.example\.com/auth/callback.*`)
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]bool{
		"https://app.example.com/auth/callback":                  true,
		"https://app.example.com/auth/callback/a?b=c":            true,
		"https://app.example.com/auth/callbackother":             true,
		"https://app.example.com/auth/callbac":                   false,
		"https://app.example.com/other":                          false,
		"https://appxexample.com/auth/callback":                  false,
		"http://app.example.com/auth/callback":                   false,
		"HTTPS://app.example.com/auth/callback":                  false,
		"https://APP.example.com/auth/callback":                  false,
		"https://app.example.com:444/auth/callback":              false,
		"https://app.example.com@evil.com/auth/callback":         false,
		"https://evil.com/https://app.example.com/auth/callback": false,
		"xhttps://app.example.com/auth/callback":                 false,
		"https://app.example.com/auth/callback#f":                false,
		"https://app.example.com/auth/callback\n":                false,
		"https://app.example.com/auth/callback x":                false,
		"https://app.example.com/auth/callback/../../x":          false,
		"https://app.example.com/auth/callback/%2e%2e/x":         false,
		"https://app.example.com/auth/callback/..%2fx":           false,
		"https://app.example.com/auth/callback%2f..%5cx":         false,
		"https://app.example.com/auth/callback/..;/x":            false,
		"https://app.example.com\\@evil.com/auth/callback":       false,
		`regex:^https://app\.example\.com/auth/callback.*`:       false, // the text of the pattern is no redirect URI
		"": false,
	} {
		if got := a.MatchRedirectURI(uri); got != want {
			t.Errorf("%q: %v", uri, got)
		}
	}
}

func TestRefusesPatternsThatReachOtherHosts(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{
		"anything":                `.*`,
		"anything, anchored":      `^.*$`,
		"empty":                   ``,
		"no scheme":               `app\.example\.com/cb`,
		"any scheme":              `.*://app\.example\.com/cb`,
		"optional s":              `https?://app\.example\.com/cb`,
		"plain http":              `http://app\.example\.com/cb`,
		"scheme alternative":      `(https|http)://app\.example\.com/cb`,
		"unescaped dot":           `https://app.example.com/cb`,
		"wildcard sub-domain":     `https://.*\.example\.com/cb`,
		"class of sub-domain":     `https://[a-z]+\.example\.com/cb`,
		"sub-domain without dots": `https://[^.]+\.example\.com/cb`,
		"host not ended":          `https://app\.example\.com.*`,
		"host not ended, exact":   `https://app\.example\.com`,
		"host ended by choice":    `https://app\.example\.com(/.*)?`,
		"host ended by class":     `https://app\.example\.com[/.]cb`,
		"optional slash":          `https://app\.example\.com/?cb`,
		"host repeated":           `https://app\.example\.com+/cb`,
		"host alternative":        `https://(app|evil)\.example\.com/cb`,
		"top alternative":         `https://app\.example\.com/cb|https://evil\.example/cb`,
		"top alternative, empty":  `https://app\.example\.com/cb|`,
		"top alternative, any":    `https://app\.example\.com/cb|.*`,
		"anchored alternative":    `^https://app\.example\.com/cb|evil`,
		"group around":            `(https://app\.example\.com/)?.*`,
		"group repeated":          `(?:https://app\.example\.com/)*.*`,
		"case folded":             `(?i)https://app\.example\.com/cb`,
		"case folded s":           `(?i:https)://app\.example\.com/cb`,
		"user part":               `https://app\.example\.com@evil\.example/cb`,
		"user part, any":          `https://.*@app\.example\.com/cb`,
		"any port":                `https://app\.example\.com:[0-9]+/cb`,
		"any loopback port":       `http://127\.0\.0\.1:\d+/cb`,
		"javascript":              `javascript:.*`,
		"data":                    `data:text/html,.*`,
		"private scheme":          `com\.example\.app:/.*`,
		"fragment":                `https://app\.example\.com#/cb`,
		"breaks out":              `https://app\.example\.com/cb)|(?:.*`,
		"quoted to the end":       `https://app\.example\.com/\Qcb`,
		"not a pattern":           `https://app\.example\.com/(`,
		"look-ahead":              `https://app\.example\.com/(?!x)`,
		"back-reference":          `https://app\.example\.com/(a)\1`,
		"huge":                    `https://app\.example\.com/(a{1000}){1000}`,
		"large":                   `https://app\.example\.com/` + strings.Repeat(`.{900}`, 5),
		"long":                    `https://app\.example\.com/` + strings.Repeat(`a`, 500),
		"backslash":               `https://app\.example\.com\\/cb`,
		"space":                   `https://app\.example\.com /cb`,
		"umlaut":                  `https://äpp\.example\.com/cb`,
		"no host":                 `https:///cb`,
		"any first":               `.?https://app\.example\.com/cb`,
		"line start":              `(?m)x$\n^https://app\.example\.com/cb`,
		"wildcard as text":        `https://\*\.example\.com/cb`,
		"host is any byte":        `https://\Capp\.example\.com/cb`,
	} {
		if _, err := registers("regex:" + pattern); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %s is registered", name, pattern)
		}
	}
	for _, pattern := range []string{
		`https://app\.example\.com/`, `https://app\.example\.com/(a|b)$`, `^https://app[.]example[.]com/x\d{1,3}`, `https://app\.example\.com:8443/.*`,
		`http://localhost/cb/.*`, `https://app\.example\.com/a|https://app\.example\.com/b`, `https://\Qapp.example.com\E/.*`,
	} {
		if _, err := registers("regex:" + pattern); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestPatternsAreForRedirectURIsAlone(t *testing.T) {
	t.Parallel()
	a, _ := registers(callback)
	a.PostLogoutURIs = []string{`regex:https://app\.example\.com/.*`}
	if err := a.Check(); !errors.Is(err, identity.ErrInvalid) {
		t.Error("post_logout_uris takes a pattern")
	}
}

// FuzzRedirectMatcher: whatever pattern was registered, nothing matches that leads to
// another scheme, host or port than the pattern begins with.
func FuzzRedirectMatcher(f *testing.F) {
	for _, p := range []string{
		`^https://app\.example\.com/auth/callback.*`, `https://app\.example\.com/a|https://evil\.example/b`, `https://a\.b/(x|y)*`, `http://localhost/.+`,
		`(?i)https://a\.b/`, `https://a\.b/x)|(.*`, `(?s).*https://a\.b/`, `https://a\.b/\Qx`, `https://a\.b:1/(?m)^.*$`,
	} {
		for _, u := range []string{"https://app.example.com/auth/callback", "https://evil.example/b", "https://a.b/x", "http://localhost/a", "https://a.b@evil.example/"} {
			f.Add(p, u)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, uri string) {
		a, err := registers("regex:" + pattern)
		if err != nil || !a.MatchRedirectURI(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(uri, "#") {
			t.Fatalf("%q matches %q", pattern, uri)
		}
		origin := u.Scheme + "://" + u.Host + "/"
		prefix, _ := regexp.MustCompile(strings.TrimPrefix(pattern, "^")).LiteralPrefix()
		if !strings.HasPrefix(uri, origin) || prefix != "" && !strings.HasPrefix(prefix, origin) {
			t.Fatalf("%q matches %q, which leads to %s", pattern, uri, origin)
		}
		for _, other := range []string{"https://evil.test/", "https://" + u.Host + ".evil.test/", "https://evil.test/" + uri, "https://" + u.Host + "@evil.test/"} {
			if u.Host != "evil.test" && a.MatchRedirectURI(other) {
				t.Fatalf("%q matches %q and %q", pattern, uri, other)
			}
		}
	})
}
