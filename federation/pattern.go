package federation

import (
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/quis-idp/quis/identity"
)

// patternPrefix begins a redirect URI that is a regular expression (RE2).
const patternPrefix = "regex:"

const (
	maxPattern     = 500  // bytes
	maxProgram     = 2000 // instructions of a compiled pattern
	maxPatternKept = 1000 // compiled patterns in memory
)

// IsPattern reports whether a registered redirect URI is a regular expression. It matches
// a URI as a whole or not at all, whatever it says itself.
func IsPattern(registered string) bool { return strings.HasPrefix(registered, patternPrefix) }

// checkPattern says why a pattern cannot be registered. Scheme, host and port must stand
// at its beginning as plain text, up to the slash after them: then nothing that matches
// can lead anywhere else, however the rest is read. That is decided on the syntax tree,
// and tried once more with what would be most wanted by somebody who wants to steal.
func checkPattern(field, registered string) error {
	bad := func(why string) error {
		return identity.Invalid(field, "\""+identity.Printable(registered, 120)+"\": "+why)
	}
	pattern := strings.TrimPrefix(registered, patternPrefix)
	if pattern == "" || len(pattern) > maxPattern {
		return bad(fmt.Sprintf("a pattern must have 1 to %d bytes", maxPattern))
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return bad("is not a regular expression in RE2 syntax")
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || len(prog.Inst) > maxProgram {
		return bad("the pattern is too large")
	}
	origin, why := pinned(tree)
	if why != "" {
		return bad(why)
	}
	if err := checkRedirectURI(field, origin, false); err != nil {
		return err
	}
	re, err := regexp.Compile(whole(pattern))
	if err != nil {
		return bad("is not a regular expression in RE2 syntax")
	}
	for _, uri := range probes(origin) {
		if re.MatchString(uri) {
			return bad("also matches " + uri)
		}
	}
	return nil
}

func whole(pattern string) string { return `\A(?:` + pattern + `)\z` }

// pinned returns the plain text that everything begins with that a pattern matches, or
// why it does not reach to the slash after the host.
func pinned(tree *syntax.Regexp) (prefix, why string) {
	var b strings.Builder
	parts := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		parts = tree.Sub
	}
	for i, p := range parts {
		if i == 0 && (p.Op == syntax.OpBeginText || p.Op == syntax.OpBeginLine) {
			continue
		}
		if p.Op != syntax.OpLiteral || p.Flags&syntax.FoldCase != 0 {
			break
		}
		b.WriteString(string(p.Rune))
	}
	text := b.String()
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(text, "http://")
	}
	if !ok {
		return "", `must begin with https:// as plain text, outside of any group or alternative`
	}
	host, _, ok := strings.Cut(rest, "/")
	if !ok {
		return "", `the host must be plain text up to the slash after it: write dots as \. and register one pattern for each host`
	}
	return strings.TrimSuffix(text, rest) + host + "/", ""
}

// probes are URIs that belong to somebody else than origin, "https://host/".
func probes(origin string) []string {
	u, err := url.Parse(origin)
	if err != nil {
		return nil
	}
	host := u.Host
	all := []string{
		"https://evil.example/", "https://" + host + ".evil.example/", "https://evil.example/" + host + "/", "https://" + host + "@evil.example/",
		"https://evil.example#@" + host + "/", "https://evil.example?" + origin, "https://evil.example/?" + origin, "https://evil" + host + "/",
		"https://" + host + ":1/", "https://" + host, "https://x." + host + "/", "javascript:" + origin, "data:" + origin, "x" + origin, " " + origin, "\n" + origin,
		"//" + host + "/", "/" + origin, "https:\\\\" + host + "/", "https:///" + host + "/",
	}
	if u.Scheme == "https" {
		all = append(all, "http://"+host+"/")
	}
	if i := strings.LastIndexByte(host, '.'); i > 0 {
		all = append(all, "https://"+strings.ReplaceAll(host, ".", "x")+"/", "https://"+host[:i]+"x"+host[i+1:]+"/")
	}
	return all
}

// matchPattern reports whether a registered pattern matches the whole of uri, which has
// passed checkRedirectURI. Paths with dot segments never match: "/callback/../x" is
// somewhere else once a browser has read it.
func matchPattern(registered, uri string) bool {
	if hasDotSegment(uri) {
		return false
	}
	re := patterns.get(strings.TrimPrefix(registered, patternPrefix))
	return re != nil && re.MatchString(uri)
}

// decodedOnce shows a path as those do who decode it before they resolve it.
var decodedOnce = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/")

func hasDotSegment(uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	path = decodedOnce.Replace(strings.ToLower(path))
	for segment := range strings.SplitSeq(path, "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}

// compiledPatterns keeps what is compiled, since every request of an application asks for it.
type compiledPatterns struct {
	mu  sync.Mutex
	all map[string]*regexp.Regexp // guarded by mu
}

var patterns = compiledPatterns{all: map[string]*regexp.Regexp{}}

// get returns the pattern compiled, or nil if it is none.
func (c *compiledPatterns) get(pattern string) *regexp.Regexp {
	c.mu.Lock()
	defer c.mu.Unlock()
	if re, ok := c.all[pattern]; ok {
		return re
	}
	re, err := regexp.Compile(whole(pattern))
	if err != nil {
		re = nil
	}
	if len(c.all) >= maxPatternKept {
		clear(c.all)
	}
	c.all[pattern] = re
	return re
}
