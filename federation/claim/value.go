package claim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Bounds of what mappings yield: a token has to fit into headers.
const (
	maxResult  = 4 << 10 // bytes of JSON of one claim
	maxResults = 8 << 10 // of all of one token
	maxNesting = 5       // lists and objects within one another
)

var errValue = errors.New("value") // what was computed cannot be a claim

// encode returns a result of CEL as JSON, and nil for null.
func encode(v ref.Val) (json.RawMessage, error) {
	if v.Type() == types.NullType {
		return nil, nil
	}
	e := encoder{}
	if err := e.value(v, 0); err != nil {
		return nil, err
	}
	return e.out, nil
}

func encodeText(s string) (json.RawMessage, error) {
	e := encoder{}
	err := e.text(s)
	return e.out, err
}

func encodeList(list []string) (json.RawMessage, error) {
	if len(list) == 0 {
		return nil, nil
	}
	e := encoder{out: []byte{'['}}
	for i, s := range list {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.text(s); err != nil {
			return nil, err
		}
	}
	return append(e.out, ']'), nil
}

// An encoder writes JSON and stops as soon as it gets too long.
type encoder struct{ out []byte }

func (e *encoder) raw(s string) error {
	if len(e.out)+len(s) > maxResult {
		return errLimit
	}
	e.out = append(e.out, s...)
	return nil
}

func (e *encoder) text(s string) error {
	if len(s) > maxResult {
		return errLimit
	}
	b, err := json.Marshal(s)
	if err != nil {
		return errValue
	}
	return e.raw(string(b))
}

// value writes what JSON has a form for; types, errors and unknowns have none. Times are
// text as in RFC 3339, bytes are base64.
func (e *encoder) value(v ref.Val, depth int) error {
	switch v := v.(type) {
	case types.Null:
		return e.raw("null")
	case types.Bool:
		return e.raw(strconv.FormatBool(bool(v)))
	case types.Int:
		return e.raw(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		return e.raw(strconv.FormatUint(uint64(v), 10))
	case types.Double:
		if f := float64(v); !math.IsInf(f, 0) && !math.IsNaN(f) {
			return e.raw(strconv.FormatFloat(f, 'g', -1, 64))
		}
		return errValue
	case types.String:
		return e.text(string(v))
	case types.Bytes:
		return e.text(base64.StdEncoding.EncodeToString(v))
	case types.Timestamp:
		return e.text(v.Time.UTC().Format(time.RFC3339))
	case types.Duration:
		return e.text(v.Duration.String())
	case traits.Mapper:
		return e.object(v, depth+1)
	case traits.Lister:
		return e.list(v, depth+1)
	}
	return errValue
}

func (e *encoder) list(v traits.Lister, depth int) error {
	if depth > maxNesting {
		return errLimit
	}
	if err := e.raw("["); err != nil {
		return err
	}
	for it, first := v.Iterator(), true; it.HasNext() == types.True; first = false {
		if !first {
			if err := e.raw(","); err != nil {
				return err
			}
		}
		if err := e.value(it.Next(), depth); err != nil {
			return err
		}
	}
	return e.raw("]")
}

func (e *encoder) object(v traits.Mapper, depth int) error {
	if depth > maxNesting {
		return errLimit
	}
	var names []string
	for it := v.Iterator(); it.HasNext() == types.True; {
		name, ok := it.Next().(types.String)
		if !ok {
			return errValue
		}
		if names = append(names, string(name)); len(names) > maxResult {
			return errLimit
		}
	}
	slices.Sort(names) // a map has no order, a token should look the same each time
	sep := "{"
	for _, name := range names {
		member, _ := v.Find(types.String(name))
		for _, step := range []func() error{
			func() error { return e.raw(sep) },
			func() error { return e.text(name) },
			func() error { return e.raw(":") },
			func() error { return e.value(member, depth) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		sep = ","
	}
	if len(names) == 0 {
		return e.raw("{}")
	}
	return e.raw("}")
}
