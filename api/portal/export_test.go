package portal

import "github.com/quis-idp/quis/identity/session"

// ActivityPage is how many events one page shows.
const ActivityPage = activityPage

// Sentence says what happened in the words of whoever sent the request.
var Sentence = sentence

// VisitorOf is whoever was let in by a session a moment ago.
func VisitorOf(cfg Config, s *session.Session) *Visitor {
	return &Visitor{Session: s, portal: &Portal{cfg: cfg}}
}
