package passkey

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

// Whoever removes the password by one node and the only passkey by another, at once, keeps one
// of the two.
func TestTheLastTwoWaysOnTwoNodes(t *testing.T) {
	t.Parallel()
	houses := portaltest.NewOver(t, 2)
	here, there := newDoor(houses[0], publicURL), newDoor(houses[1], publicURL)
	for round := range 30 {
		here.Browser = pagetest.NewBrowser(t, here.House.URL)
		here.enter(fmt.Sprint("ada", round))
		here.done(newPath, here.make(&passkeytest.Authenticator{Origin: publicURL, UV: true}, "Phone"))
		key := path + "/" + here.keys()[0] + "/remove"
		other := *here.Browser // the same browser and session, by the other node
		other.URL = there.House.URL
		var answers [2]pagetest.Answer
		var both sync.WaitGroup
		both.Go(func() { answers[0] = here.Post(key, url.Values{}) })
		both.Go(func() {
			answers[1] = other.Post(security+"/password/remove", url.Values{"current": {portaltest.Password}})
		})
		both.Wait()
		kept := map[int]int{}
		for _, a := range answers {
			kept[a.StatusCode]++
		}
		if kept[http.StatusSeeOther] != 1 || kept[http.StatusUnprocessableEntity] != 1 {
			t.Fatalf("round %d: %d and %d", round, answers[0].StatusCode, answers[1].StatusCode)
		}
		here.House.Update(func(tx *fsm.Tx) error {
			set, err := credential.PasswordSet(tx, identity.DefaultTenant, here.user)
			if err == nil && set.IsZero() == (len(here.keys()) == 0) {
				t.Errorf("round %d: a password: %v, passkeys: %v", round, !set.IsZero(), here.keys())
			}
			return err
		})
	}
}
