package authentication

import (
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/settings"
)

// warnings say what of s is decided and does not happen at this node. Each begins with the field
// that it is about, by which the command line knows which to repeat after a change.
func (a *api) warnings(tx *fsm.Tx, s *settings.Authentication) (out []string, err error) {
	if s.Password.Breached && a.cfg.Checks.Breached == nil {
		out = append(out, lookedUpNowhere+". "+lookUp)
	}
	sends, err := a.cfg.Mail.Sends(tx, s.Tenant)
	if err != nil || sends {
		return out, err
	}
	for _, way := range []struct {
		field string
		on    bool
	}{
		{"allow_magic_link", s.MagicLink}, {"allow_email_otp", s.EmailOTP},
		{"allow_self_registration", s.SelfRegistration}, {"allow_forgot_password", s.ForgotPassword},
	} {
		if way.on {
			out = append(out, way.field+" is on, and no mail is sent by this node. Say with which server (quis mail set), or switch it off.")
		}
	}
	return out, nil
}
