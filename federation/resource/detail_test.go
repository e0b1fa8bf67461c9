package resource_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

var payment = resource.DetailType{
	Name: "payment_initiation", Texts: resource.Texts{"en": "Make this payment"},
	Members: []resource.Member{
		{Name: "actions", Kind: resource.KindStrings, Enum: []string{"initiate", "status", "cancel"}, Label: "Steps"},
		{Name: "instructedAmount", Kind: resource.KindObject, Required: true, Label: "Amount", Members: []resource.Member{
			{Name: "currency", Kind: resource.KindString, Enum: []string{"EUR", "USD"}, Required: true},
			{Name: "amount", Kind: resource.KindNumber, Max: 1000, Required: true},
		}},
		{Name: "creditorName", Kind: resource.KindString, Max: 70, Label: "To"},
		{Name: "urgent", Kind: resource.KindBoolean},
		{Name: "times", Kind: resource.KindInteger},
	},
}

const goodPayment = `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":12.50},"actions":["initiate","status"],"creditorName":"Ada"}]`

func (h *house) check(text string) error {
	details, err := resource.ReadDetails(text)
	if err != nil {
		return err
	}
	return h.db.View(h.t.Context(), func(tx *fsm.Tx) error {
		return resource.CheckDetails(tx, h.app, details)
	})
}

func TestDetailsAreChecked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustServer(resource.Server{Identifier: orders, Name: "Bank", OpenToAll: true, Details: []resource.DetailType{payment}})
	if err := h.check(goodPayment); err != nil {
		t.Fatal(err)
	}
	amount := func(s string) string {
		return `[{"type":"payment_initiation","instructedAmount":` + s + `}]`
	}
	for name, bad := range map[string]string{
		"no list":           `{"type":"payment_initiation"}`,
		"empty list":        `[]`,
		"no object":         `["payment_initiation"]`,
		"no type":           `[{"actions":["initiate"]}]`,
		"type no string":    `[{"type":1}]`,
		"unknown type":      `[{"type":"other"}]`,
		"unknown member":    `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"secretly":"more"}]`,
		"unknown inside":    amount(`{"currency":"EUR","amount":1,"x":1}`),
		"missing":           `[{"type":"payment_initiation"}]`,
		"missing inside":    amount(`{"currency":"EUR"}`),
		"not in the enum":   amount(`{"currency":"GBP","amount":1}`),
		"too much":          amount(`{"currency":"EUR","amount":1000.01}`),
		"negative":          amount(`{"currency":"EUR","amount":-1}`),
		"exponent":          amount(`{"currency":"EUR","amount":1e2}`),
		"number as text":    amount(`{"currency":"EUR","amount":"1"}`),
		"list for object":   amount(`[]`),
		"null":              amount(`null`),
		"twice":             amount(`{"currency":"EUR","currency":"USD","amount":1}`),
		"two of one":        `[{"type":"payment_initiation","type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1}}]`,
		"behind the list":   goodPayment + "[]",
		"cut off":           goodPayment[:40],
		"not UTF-8":         "[{\"type\":\"\xff\"}]",
		"long text":         `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"creditorName":"` + strings.Repeat("x", 71) + `"}]`,
		"turned around":     `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"creditorName":"\u202eadA"}]`,
		"whole number":      `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"times":1.5}]`,
		"empty actions":     `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"actions":[]}]`,
		"the same twice":    `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"actions":["status","status"]}]`,
		"numbers in a list": `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1},"actions":[1]}]`,
	} {
		if err := h.check(bad); !errors.Is(err, resource.ErrDetails) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusesOversizedAuthorizationDetails(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"bytes":   `[{"type":"x","y":"` + strings.Repeat("a", 7000) + `"}]`,
		"entries": "[" + strings.Repeat(`{"type":"x"},`, 10) + `{"type":"y"}]`,
	} {
		if _, err := resource.ReadDetails(text); !errors.Is(err, resource.ErrDetails) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusesDeeplyNestedAuthorizationDetails(t *testing.T) {
	t.Parallel()
	for _, open := range []string{"[", `{"a":`} {
		text := `[{"type":"x","a":` + strings.Repeat(open, 500)
		if _, err := resource.ReadDetails(text); !errors.Is(err, resource.ErrDetails) || !strings.Contains(err.Error(), "too deep") {
			t.Errorf("%s: %v", open, err)
		}
	}
}

func TestRefusesDetailsOfAnotherApplicationsServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustServer(resource.Server{Identifier: orders, Name: "Bank", Allowed: []string{"app_other"}, Details: []resource.DetailType{payment}})
	if err := h.check(goodPayment); !errors.Is(err, resource.ErrDetails) {
		t.Error(err)
	}
}

func TestDetailsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	a, err := resource.ReadDetails(goodPayment)
	if err != nil {
		t.Fatal(err)
	}
	b, err := resource.ReadDetails(` [ {"creditorName" : "\u0041da", "actions":["initiate", "status"], "instructedAmount":{"amount":12.50,"currency":"EUR"}, "type":"payment_initiation"} ] `)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(resource.Spell(a)), string(resource.Spell(b))); d != "" {
		t.Error(d)
	}
	if resource.Spell(nil) != nil {
		t.Error("nothing has a spelling")
	}
}

func TestDetailWithin(t *testing.T) {
	t.Parallel()
	granted, err := resource.ReadDetails(goodPayment)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		goodPayment: true,
		strings.Replace(goodPayment, `"initiate","status"`, `"status"`, 1):                   true,
		strings.Replace(goodPayment, `"initiate","status"`, `"status","cancel"`, 1):          false,
		strings.Replace(goodPayment, `12.50`, `12.49`, 1):                                    false,
		strings.Replace(goodPayment, `,"creditorName":"Ada"`, ``, 1):                         false,
		strings.Replace(goodPayment, `"Ada"`, `"Ada","urgent":true`, 1):                      false,
		strings.Replace(goodPayment, `"payment_initiation"`, `"account_information"`, 1):     false,
		strings.Replace(goodPayment, `"actions":["initiate","status"]`, `"actions":true`, 1): false,
	} {
		d, err := resource.ReadDetails(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := d[0].Within(granted); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestDetailInWords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustServer(resource.Server{Identifier: orders, Name: "Bank", OpenToAll: true, Details: []resource.DetailType{payment}})
	details, err := resource.ReadDetails(goodPayment)
	if err != nil {
		t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		w, err := resource.Words(tx, h.app, details[0], "de")
		want := resource.Wording{Text: "Make this payment", Language: "en", Server: "Bank", Lines: []resource.Line{
			{Label: "Steps", Value: "initiate, status"}, {Label: "Amount: currency", Value: "EUR"},
			{Label: "Amount: amount", Value: "12.50"}, {Label: "To", Value: "Ada"},
		}}
		if d := cmp.Diff(want, w); d != "" {
			t.Error(d)
		}
		return err
	})
}

func TestTypeIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := resource.Texts{"en": "Do it"}
	for name, bad := range map[string][]resource.DetailType{
		"name":        {{Name: "two words", Texts: text}},
		"twice":       {{Name: "a", Texts: text}, {Name: "a", Texts: text}},
		"no words":    {{Name: "a"}},
		"kind":        {{Name: "a", Texts: text, Members: []resource.Member{{Name: "m", Kind: "any"}}}},
		"type":        {{Name: "a", Texts: text, Members: []resource.Member{{Name: "type", Kind: "string"}}}},
		"enum":        {{Name: "a", Texts: text, Members: []resource.Member{{Name: "m", Kind: "number", Enum: []string{"1"}}}}},
		"no members":  {{Name: "a", Texts: text, Members: []resource.Member{{Name: "m", Kind: "object"}}}},
		"member name": {{Name: "a", Texts: text, Members: []resource.Member{{Name: `m"`, Kind: "string"}}}},
		"nested": {{Name: "a", Texts: text, Members: []resource.Member{{Name: "m", Kind: "object", Members: []resource.Member{
			{Name: "m", Kind: "object", Members: []resource.Member{{Name: "m", Kind: "object", Members: []resource.Member{{Name: "m", Kind: "string"}}}}},
		}}}}},
	} {
		if _, err := h.server(resource.Server{Identifier: orders, Name: "Bank", Details: bad}); fieldOf(err) != "authorization_details" {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.mustServer(resource.Server{Identifier: orders, Name: "Bank", Details: []resource.DetailType{payment}})
	if _, err := h.server(resource.Server{Identifier: "urn:two", Name: "Two", Details: []resource.DetailType{payment}}); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("one type of two servers: %v", err)
	}
}

// FuzzReadDetails: what is accepted is within bounds and reads back as itself.
func FuzzReadDetails(f *testing.F) {
	f.Add(goodPayment)
	f.Add(`[{"type":"a","b":[{"c":[{"d":1}]}]},{"type":"a","b":null}]`)
	f.Add("[" + strings.Repeat(`{"type":"a","x":[`, 20))
	f.Fuzz(func(t *testing.T, text string) {
		details, err := resource.ReadDetails(text)
		if err != nil || text == "" {
			return
		}
		if len(details) == 0 || len(details) > 10 {
			t.Fatalf("%d details of %q", len(details), text)
		}
		spelled := resource.Spell(details)
		if !json.Valid(spelled) {
			t.Fatalf("%q is spelled %q", text, spelled)
		}
		again, err := resource.ReadDetails(string(spelled))
		if err != nil && len(spelled) <= 3<<10 {
			t.Fatalf("%q does not read back: %v", spelled, err)
		}
		if err == nil && string(resource.Spell(again)) != string(spelled) {
			t.Fatalf("%q reads back as %q", spelled, resource.Spell(again))
		}
		for _, d := range details {
			if !d.Within(details) {
				t.Fatalf("%s is not within itself", d.JSON)
			}
		}
	})
}
