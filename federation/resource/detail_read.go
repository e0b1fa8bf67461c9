package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// Bounds of what a stranger may send.
const (
	maxDetailBytes = 3 << 10 // they travel in codes
	maxDetails     = 10
	maxDepth       = 6 // of the JSON: the list, a detail, and what is in it
	defaultString  = 256
	defaultList    = 20
)

// ErrDetails is the kind of authorization details that cannot be accepted (RFC 9396,
// section 5); ErrTarget of a resource (RFC 8707, section 2). Both are
// identity.ErrInvalid, with a Detail in plain ASCII for the developer of the application.
var (
	ErrDetails = fmt.Errorf("authorization details: %w", identity.ErrInvalid)
	ErrTarget  = fmt.Errorf("resource: %w", identity.ErrInvalid)
)

func badDetails(why string, args ...any) error {
	return &identity.Error{Kind: ErrDetails, Detail: fmt.Sprintf(why, args...)}
}

// A Detail is one authorization detail in its one spelling: JSON with members sorted,
// no space, and no name twice.
type Detail struct {
	Type   string
	JSON   json.RawMessage
	values map[string]any
}

// ReadDetails takes parameter authorization_details apart (RFC 9396, section 2), without
// asking what it means: see CheckDetails. Empty text is no details. It reports ErrDetails.
func ReadDetails(text string) ([]Detail, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxDetailBytes {
		return nil, badDetails("The authorization_details are longer than %d bytes.", maxDetailBytes)
	}
	if !utf8.ValidString(text) {
		return nil, badDetails("The authorization_details are not UTF-8.")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, 1)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the list")
		}
	}
	if err != nil {
		return nil, badDetails("The authorization_details cannot be read as a JSON array of objects: %s.", ascii(err.Error()))
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 || len(list) > maxDetails {
		return nil, badDetails("The authorization_details must be a JSON array of 1 to %d objects.", maxDetails)
	}
	var details []Detail
	for _, entry := range list {
		object, ok := entry.(map[string]any)
		name, named := object["type"].(string)
		if !ok || !named || !spelled(name, typeNames, 100) {
			return nil, badDetails("Each of the authorization_details must be an object with a type.")
		}
		spelling, err := spell(object)
		if err != nil {
			return nil, fmt.Errorf("authorization details: %w", err)
		}
		if slices.ContainsFunc(details, func(o Detail) bool { return bytes.Equal(o.JSON, spelling) }) {
			continue
		}
		details = append(details, Detail{Type: name, JSON: spelling, values: object})
	}
	return details, nil
}

// spell writes a value in one way: names in order, no space, no more escapes than needed.
func spell(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// readValue reads one JSON value. encoding/json would let a name stand twice, and the
// last one win: what was shown to a person and what a resource server reads could differ.
func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("malformed JSON")
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, malformed(err)
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, malformed(err)
			}
			if _, twice := object[name.(string)]; twice {
				return nil, errors.New("a member is given twice")
			}
			if object[name.(string)], err = readValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return object, malformed(err)
	}
	return t, nil
}

func malformed(err error) error {
	if err != nil {
		return errors.New("malformed JSON")
	}
	return nil
}

// CheckDetails finds the types of details and checks every member. The application must
// be one that may ask the resource server whose type it is. It reports ErrDetails.
func CheckDetails(tx *fsm.Tx, app *federation.Application, details []Detail) error {
	for _, d := range details {
		t, _, err := typeOf(tx, app, d.Type)
		if err != nil {
			return err
		}
		if why := checkObject(d.values, t.Members, "type"); why != "" {
			return badDetails("Authorization details of type %s: %s.", d.Type, why)
		}
	}
	return nil
}

// typeOf finds a type. One that the application may not ask for is the same to it as none.
func typeOf(tx *fsm.Tx, app *federation.Application, name string) (*DetailType, *Server, error) {
	s, err := serversByDetail.Get(tx, fsm.Scope(app.Tenant), fsm.K(name))
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return nil, nil, err
	}
	own := app.Requests.DetailTypes // if it says which types it uses, it uses no other (RFC 9396, section 10)
	if err == nil && s.MayAsk(app.ID) && (len(own) == 0 || slices.Contains(own, name)) {
		for i := range s.Details {
			if s.Details[i].Name == name {
				return &s.Details[i], s, nil
			}
		}
	}
	return nil, nil, badDetails("The type %s is not known, or not for this application.", name)
}

// checkObject says what is wrong with an object; besides its members it may have those of also.
func checkObject(object map[string]any, members []Member, also ...string) string {
	for name, value := range object {
		if slices.Contains(also, name) {
			continue
		}
		m, ok := find(members, name)
		if !ok {
			return "member " + ascii(name) + " is not registered for it"
		}
		if why := m.accepts(value); why != "" {
			return "member " + m.Name + " " + why
		}
	}
	for _, m := range members {
		if _, ok := object[m.Name]; m.Required && !ok {
			return "member " + m.Name + " is missing"
		}
	}
	return ""
}

func (m *Member) accepts(value any) string {
	switch v := value.(type) {
	case string:
		if m.Kind == KindString {
			return m.acceptsText(v)
		}
	case json.Number:
		if m.Kind == KindNumber || m.Kind == KindInteger {
			return m.acceptsNumber(v)
		}
	case bool:
		if m.Kind == KindBoolean {
			return ""
		}
	case []any:
		if m.Kind == KindStrings {
			return m.acceptsList(v)
		}
	case map[string]any:
		if m.Kind == KindObject {
			return checkObject(v, m.Members)
		}
	}
	return "must be of kind " + m.Kind
}

func (m *Member) acceptsText(s string) string {
	limit := int64(defaultString)
	if m.Max > 0 && m.Kind == KindString {
		limit = m.Max
	}
	switch {
	case int64(len(s)) > limit:
		return "is longer than " + strconv.FormatInt(limit, 10) + " bytes"
	case s != identity.Printable(s, max(len(s), 1)):
		return "holds characters that cannot be shown" // to the person who shall allow it
	case len(m.Enum) > 0 && !slices.Contains(m.Enum, s):
		return "has a value that is not one of those registered"
	}
	return ""
}

// acceptsNumber compares as floating point, which is exact up to maxLimit. Exponents are
// refused: a person could not read them.
func (m *Member) acceptsNumber(n json.Number) string {
	f, err := n.Float64()
	if err != nil || len(n) > 32 || strings.ContainsAny(string(n), "eE") {
		return "must be a plain number"
	}
	if m.Kind == KindInteger {
		if _, err := n.Int64(); err != nil {
			return "must be a whole number"
		}
	}
	if m.Max > 0 && (f < 0 || f > float64(m.Max)) {
		return "must be 0 to " + strconv.FormatInt(m.Max, 10)
	}
	return ""
}

func (m *Member) acceptsList(list []any) string {
	limit := int64(defaultList)
	if m.Max > 0 {
		limit = m.Max
	}
	if len(list) == 0 || int64(len(list)) > limit {
		return "must have 1 to " + strconv.FormatInt(limit, 10) + " entries"
	}
	for i, v := range list {
		s, ok := v.(string)
		if !ok || slices.Contains(list[:i], v) {
			return "must be a list of different strings"
		}
		if why := m.acceptsText(s); why != "" {
			return why
		}
	}
	return ""
}

// ascii makes text fit for an error_description (RFC 6749, section 5.2).
func ascii(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, s)
	return s[:min(len(s), 100)]
}
