package login

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
)

// showSecond asks for the second factor, in the way that the person chose (the query parameter
// way) or else in the best of those that they have.
func (l *Login) showSecond(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, way assurance.Method, faults []*identity.Error) error {
	ways, err := l.cfg.Flows.Offer(r.Context(), f)
	if err != nil {
		return flowFault(w, r, err)
	}
	if way == "" && f.Asked != nil {
		way = assurance.Approval
	}
	if !slices.Contains(ways, way) {
		way = ways[0]
	}
	who, err := l.who(r, f)
	if err != nil {
		return err
	}
	if way == assurance.Approval {
		return l.showApproval(w, r, f, status, who, others(r, f, ways, way), faults)
	}
	key, err := l.passkey(r, f)
	if err != nil {
		return err
	}
	open, err := l.cfg.Flows.Open(r.Context(), f)
	if err != nil {
		return err
	}
	view := secondView{
		Purpose: purpose(r, f), Who: who, Action: page.Base(r) + "/login/second", Flow: f.Sealed(), Way: string(way),
		Lead:    site.Text(r, "second."+string(way)+".lead"),
		Passkey: key, Typed: way != assurance.Passkey && way != assurance.Certificate, Trust: days(r, open.Trust),
		Others: others(r, f, ways, way), Restart: again(r, f), timed: l.timed(f),
	}
	if way == assurance.Passkey && f.DeviceBound() {
		view.Lead = site.Text(r, "second.bound.lead")
	}
	if way == assurance.Certificate {
		view.Certificate = l.certificateLink(r, f)
	}
	if view.Typed { // of a passkey there is nothing to be typed, and no word for it
		view.Code, view.Forgotten = typed(r, way), way == assurance.Password && f.Need.Lost
	}
	may, err := l.cfg.Flows.MayLose(r.Context(), f)
	if err != nil {
		return err
	}
	if view.Ask = !may && way != assurance.Password; may {
		view.Lost = page.Base(r) + "/login/lost"
	}
	for _, fault := range faults {
		switch fault.Field {
		case "code":
			view.Code.Error = page.Detail(r, fault)
			continue
		case passkey.BarredField:
			view.Alert.Text = page.Detail(r, fault)
			continue
		}
		view.Code.Wrong(&view.Alert, site.Text(r, "second."+string(way)+".wrong"))
	}
	return secondPage.Write(w, r, status, view)
}

// typed is the field for what a person types: a password looks, and is filled in, as at the first step.
func typed(r *http.Request, way assurance.Method) page.Field {
	field := page.Field{Name: "code", Label: site.Text(r, "second."+string(way)+".code"), Autocomplete: "one-time-code", Numeric: way == assurance.TOTP, Focus: true}
	if way == assurance.Password {
		field.Type, field.Autocomplete = "password", "current-password"
	}
	return field
}

// others leads to the methods besides way.
func others(r *http.Request, f *authn.Flow, ways []assurance.Method, way assurance.Method) (links []link) {
	for _, other := range ways {
		if other != way {
			links = append(links, link{Label: site.Text(r, "second."+string(other)+".choose"), To: page.Base(r) + wayTo(f, other)})
		}
	}
	return links
}

// wayTo is the form of a method, within the tenant.
func wayTo(f *authn.Flow, way assurance.Method) string {
	return "/login?" + url.Values{"flow": {f.Sealed()}, "way": {string(way)}}.Encode()
}

// again is where the flow begins anew, as somebody else.
func again(r *http.Request, f *authn.Flow) string {
	return page.Base(r) + "/login?" + url.Values{"flow": {f.Sealed()}, "again": {"yes"}}.Encode()
}

// second takes the form of the second factor.
func (l *Login) second(w http.ResponseWriter, r *http.Request) error {
	way := func() assurance.Method { return assurance.Method(r.PostForm.Get("way")) }
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		if way() == assurance.Approval {
			return l.cfg.Flows.Approved(r.Context(), f)
		}
		return l.cfg.Flows.Code(r.Context(), f, way(), r.PostForm.Get("code"))
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showSecond(w, r, f, status, way(), faults)
	})
}

// passkeyAnswer takes what a passkey has answered, at the first step or the second.
func (l *Login) passkeyAnswer(w http.ResponseWriter, r *http.Request) error {
	var signal []byte
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		done, err := l.cfg.Flows.Passkey(r.Context(), f, []byte(r.PostForm.Get("response")))
		signal, _ = passkey.Unknown(err)
		return done, err
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		if f.Step() == authn.StepSecond {
			return l.showSecond(w, r, f, status, assurance.Passkey, faults)
		}
		if !slices.ContainsFunc(faults, func(e *identity.Error) bool { return e.Field == passkey.BarredField }) {
			// What else the browser is told: to offer a passkey no more that is not known here.
			faults = []*identity.Error{{Field: "passkey", Detail: string(signal)}}
		}
		return l.showForm(w, r, f, status, f.Need.LoginHint, faults)
	})
}

// passkey is what the browser needs to use a passkey at the step of f; nil if it cannot.
func (l *Login) passkey(r *http.Request, f *authn.Flow) (*passkeyView, error) {
	options, err := l.cfg.Flows.Challenge(r.Context(), f)
	if err != nil || options == nil {
		return nil, err
	}
	return &passkeyView{Action: page.Base(r) + "/login/passkey", Flow: f.Sealed(), Options: string(options), Autofill: f.Step() == authn.StepPassword}, nil
}
