package page

import (
	"net/url"
	"slices"
	"strings"
)

// Frames keeps those of the addresses that a page may load as frames: http or https, of a
// host that can stand in a content security policy without becoming another directive.
func Frames(addresses []string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return origin(a) == "" })
}

// origins are those of frames, each once.
func origins(frames []string) []string {
	var all []string
	for _, f := range frames {
		if o := origin(f); o != "" && !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]") != "" {
		return ""
	}
	return u.Scheme + "://" + host
}
