package factor

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/directory"
)

const (
	codesPath       = securityPath + "/codes"
	removeCodesPath = codesPath + "/remove"
)

// codes is the section of recovery codes.
type codes struct{ Config }

// codesView explains the codes, and shows them in the one answer that has them.
type codesView struct {
	Account      page.Navigation
	Notice       string
	Has          bool // there are codes, which new ones replace
	Codes        []string
	Host, Login  string       // what is on the printed page
	Download     template.URL // the codes as a text file
	Action, Back string
}

// Card says how many codes are left.
func (s *codes) Card(tx *fsm.Tx, r *http.Request, v *portal.Visitor) (portal.Card, error) {
	set, err := recovery.Get(tx, v.Tenant, v.UserID)
	if err != nil {
		return portal.Card{}, err
	}
	c := portal.Card{Title: site.Text(r, "codes.title"), Lead: site.Text(r, "codes.lead")}
	if v.Done == "codes-removed" {
		c.Notice = site.Text(r, "codes.removed")
	}
	if set == nil {
		c.Actions = []portal.Action{{Label: site.Text(r, "codes.make"), Path: codesPath}}
		return c, nil
	}
	row := portal.Row{
		Name: site.Text(r, "codes.left", set.Left(), recovery.Count), Facts: []string{site.Text(r, "codes.made", date(r, set.Created))},
		Actions: []portal.Action{
			{Label: site.Text(r, "codes.again"), Path: codesPath, Main: set.Left() <= recovery.Few},
			{Label: site.Text(r, "codes.remove"), Names: site.Text(r, "codes.remove.title"), Path: removeCodesPath},
		},
	}
	if !set.LastUsed.IsZero() {
		row.Facts = append(row.Facts, used(r, tx.Now(), set.LastUsed))
	}
	if set.Left() <= recovery.Few {
		row.Mark = site.Text(r, "codes.few")
	}
	c.Rows = []portal.Row{row}
	return c, nil
}

// Routes mounts the pages of codes.
func (s *codes) Routes(handle, _ portal.Mount) {
	handle("GET "+codesPath, s.ask)
	handle("POST "+codesPath, s.generate)
	handle("GET "+removeCodesPath, s.askRemoval)
	handle("POST "+removeCodesPath, s.remove)
}

func (s *codes) view(r *http.Request, v *portal.Visitor) codesView {
	a := v.Account(r, "security")
	return codesView{Account: a, Login: a.Login, Action: page.Base(r) + codesPath, Back: page.Base(r) + securityPath}
}

// ask explains what the codes are for, before they are on the screen.
func (s *codes) ask(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	view := s.view(r, v)
	if v.Done == "app" {
		view.Notice = site.Text(r, "apps.added")
	}
	err := s.DB.View(r.Context(), func(tx *fsm.Tx) error {
		set, err := recovery.Get(tx, v.Tenant, v.UserID)
		view.Has = set != nil
		return err
	})
	if err != nil {
		return err
	}
	return codesPage.Write(w, r, http.StatusOK, view)
}

// generate makes the codes and shows them: only this answer has them, so there is no
// redirect to a page of theirs.
func (s *codes) generate(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.Fresh(w, r, codesPath); !ok {
		return err
	}
	if err := s.Use(r.Context()); err != nil {
		return err
	}
	view := s.view(r, v)
	err := v.UpdateFresh(r.Context(), standing(v, func(tx *fsm.Tx, u *directory.User) (err error) {
		view.Codes, err = recovery.Generate(tx, s.Ring, v.Tenant, u.ID)
		return err
	}))
	if err != nil {
		return err
	}
	view.Host = host(r)
	view.Download = file(site.Text(r, "codes.of", view.Login, view.Host), view.Codes)
	return codesPage.Write(w, r, http.StatusOK, view)
}

func removal(r *http.Request) portal.Removal {
	return portal.Removal{
		Path: removeCodesPath, Title: site.Text(r, "codes.remove.title"), Lead: site.Text(r, "codes.remove.lead"), Label: site.Text(r, "codes.remove.submit"),
	}
}

func (s *codes) askRemoval(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	var set *recovery.Set
	var stay portal.Stay
	err := s.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		if set, err = recovery.Get(tx, v.Tenant, v.UserID); err == nil {
			stay, err = v.WithoutCodes(tx, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	if set == nil {
		return page.Onward(w, r, page.Base(r)+securityPath)
	}
	return removal(r).Ask(w, r, v, stay)
}

// remove takes the codes away, unless they are needed.
func (s *codes) remove(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	return removal(r).Do(w, r, v, "codes-removed", func(tx *fsm.Tx) (portal.Stay, error) {
		if stay, err := v.WithoutCodes(tx, r); err != nil || stay.Why != "" {
			return stay, err
		}
		return portal.Stay{}, recovery.Remove(tx, v.Tenant, v.UserID)
	})
}

// file is the codes as the content of a text file, which the browser saves by itself.
func file(heading string, codes []string) template.URL {
	text := heading + "\r\n\r\n" + strings.Join(codes, "\r\n") + "\r\n"
	return template.URL("data:text/plain;charset=utf-8," + strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
}
