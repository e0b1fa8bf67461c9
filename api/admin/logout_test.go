package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/client"
)

func TestLogoutDeliveries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, body := h.call(h.root, "POST", "/api/v1/applications", `{"name":"Web","redirect_uris":["https://web.example.com/cb"]}`)
	var a client.Application
	h.must(json.Unmarshal([]byte(body), &a))
	at := "/api/v1/applications/" + a.ID + "/logout-deliveries"
	if res, body := h.call(h.root, "GET", at, ""); res.StatusCode != 200 || !strings.Contains(body, `"data":[]`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	h.want(404, h.root, "GET", "/api/v1/applications/app_none/logout-deliveries", "")
	h.want(404, h.root, "POST", at+"/lgo_none/retry", "")
	h.want(400, h.root, "GET", at+"?after=%25", "")
	h.want(403, h.plain, "GET", at, "")
	h.want(403, h.plain, "POST", at+"/lgo_none/retry", "")
}
