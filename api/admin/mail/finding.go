package mail

import (
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/notify"
)

// Finding says whether the default tenant can write to its people, for the doctor.
func Finding(tx *fsm.Tx, room *notify.Room) (checkup.Finding, error) {
	f := checkup.Finding{Check: "mail"}
	state, err := room.State(tx, identity.DefaultTenant)
	if err != nil {
		return f, err
	}
	switch state {
	case notify.StateNone:
		f.Level, f.Found = checkup.Warn, "no mail is sent: people get no codes, links or notices"
		f.Advice = "Say with which server: quis mail set; then quis mail test."
		return f, nil
	case notify.StateInbox:
		f.Found = "stays on this machine, in the inbox of quis dev"
		return f, nil
	}
	failed, _, err := notify.ListDeliveries(tx, identity.DefaultTenant, notify.Failed, "", 1)
	if err != nil {
		return f, err
	}
	f.Found = "there are settings, and no notice of the last week was given up"
	if len(failed) > 0 {
		f.Level, f.Found = checkup.Warn, "a notice was given up: "+failed[0].Status
		f.Advice = "See quis mail deliveries --state failed, and try quis mail test."
	}
	return f, nil
}
