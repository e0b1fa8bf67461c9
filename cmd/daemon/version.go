package daemon

import "runtime/debug"

// Version is the release that this source becomes.
const Version = "0.2.0"

// Revision is the commit that the binary was built from, with "+changed" if the
// tree had changes; "unknown" outside a repository.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changed"
		}
	}
	return revision + changed
}
