package portal

import (
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	appsPath = "/apps"
	maxQuery = 100 // bytes of what is searched for
)

type (
	// appsView shows what the person can open, by the groups that administrators made.
	appsView struct {
		Account       page.Navigation
		Action, Query string
		Asked         bool // something is searched for, or there is enough to search in
		Groups        []tiles
	}
	tiles struct {
		Name string // "": of no group
		Apps []tile
	}
	tile struct{ Name, Initials, Text, Link string }
)

// listApps shows the person's applications. Icons from elsewhere are not loaded: whoever
// keeps them would learn who looks.
func (p *Portal) listApps(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	query := identity.Printable(strings.TrimSpace(r.URL.Query().Get("q")), maxQuery)
	words := strings.Fields(strings.ToLower(query))
	fits := func(a *federation.Application) bool {
		in := strings.ToLower(a.DisplayName() + "\n" + a.Description + "\n" + a.AppGroup)
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(in, word) })
	}
	var all []federation.Application
	err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		all, err = federation.Dashboard(tx, v.Tenant, v.UserID, fits)
		return err
	})
	if err != nil {
		return err
	}
	const few = 6 // that are seen at once
	return appsPage.Write(w, r, http.StatusOK, appsView{
		Account: v.Account(r, "apps"), Action: page.Base(r) + appsPath, Query: query, Asked: query != "" || len(all) > few, Groups: grouped(all),
	})
}

// grouped sorts applications under their headings by name; those without one come last.
func grouped(all []federation.Application) (groups []tiles) {
	slices.SortFunc(all, func(a, b federation.Application) int {
		if (a.AppGroup == "") != (b.AppGroup == "") {
			return strings.Compare(b.AppGroup, a.AppGroup)
		}
		return strings.Compare(strings.ToLower(a.AppGroup+"\n"+a.DisplayName()+"\n"+a.ID), strings.ToLower(b.AppGroup+"\n"+b.DisplayName()+"\n"+b.ID))
	})
	for i := range all {
		a := &all[i]
		if len(groups) == 0 || !strings.EqualFold(groups[len(groups)-1].Name, a.AppGroup) {
			groups = append(groups, tiles{Name: a.AppGroup})
		}
		last := &groups[len(groups)-1]
		last.Apps = append(last.Apps, tile{a.DisplayName(), initials(a.DisplayName()), a.Description, a.LaunchURL})
	}
	return groups
}

// initials stand where a picture would.
func initials(name string) string {
	var out []rune
	for _, word := range strings.FieldsFunc(name, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		if c, _ := utf8.DecodeRuneInString(word); len(out) < 2 {
			out = append(out, unicode.ToUpper(c))
		}
	}
	return string(out)
}
