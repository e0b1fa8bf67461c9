package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// A Claim is what a mapping has yielded.
type Claim struct {
	Name    string
	Value   json.RawMessage
	Mapping int      // its place in the application's list; -1: made by a Script
	In      []string // destinations
}

// GoesTo reports whether the claim belongs in the destination.
func (c *Claim) GoesTo(in string) bool { return slices.Contains(c.In, in) }

// A Script sees what mappings have yielded and returns what shall be said instead.
// Reserved claims are taken out of that again.
type Script func(ctx context.Context, f *Facts, claims []Claim) ([]Claim, error)

// ErrRequired: a required claim could not be made, so there must be no token.
var ErrRequired = errors.New("required claim is missing")

// An Engine applies mappings and counts what fails. It is safe for concurrent use.
type Engine struct {
	// Script, if set, has the last word on mapped claims. It is nil until there is a room for scripts.
	Script Script

	log    *slog.Logger
	failed *prometheus.CounterVec
}

// New returns an engine. reg may be nil.
func New(log *slog.Logger, reg prometheus.Registerer) *Engine {
	e := &Engine{log: log, failed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "quis_claim_mapping_failures_total", Help: "Claim mappings that yielded no claim because they failed, by reason.",
	}, []string{"reason"})}
	if reg != nil {
		reg.MustRegister(e.failed)
	}
	return e
}

// A Plan is what is to be computed for one token request. A nil Plan is of an
// application without mappings, and costs nothing.
type Plan struct {
	engine *Engine
	steps  []step
}

type step struct {
	mapping *Mapping
	place   int
	in      []string
	text    template
	program *program // instead of text
}

// Plan selects the mappings whose scope was granted and that go to one of the
// destinations. It returns nil if there are none.
func (e *Engine) Plan(mappings []Mapping, scopes []string, destinations ...string) *Plan {
	var p *Plan
	for i := range mappings {
		m := &mappings[i]
		if m.RequiredScope != "" && !slices.Contains(scopes, m.RequiredScope) {
			continue
		}
		var in []string
		for _, d := range destinations {
			if m.GoesTo(d) {
				in = append(in, d)
			}
		}
		if len(in) == 0 || Reserved(m.Claim) { // what was stored by an older program does not bind this one
			continue
		}
		s := step{mapping: m, place: i, in: in}
		if m.Expression != "" {
			s.program = compiled(m.Expression)
		} else {
			s.text = parseTemplate(m.Value)
		}
		if p == nil {
			p = &Plan{engine: e}
		}
		p.steps = append(p.steps, s)
	}
	return p
}

// NeedsGroups reports whether Facts.Groups is read.
func (p *Plan) NeedsGroups() bool {
	return p.needs(func(s *step) bool {
		return s.program != nil && s.program.groups || s.text.uses(func(name string) bool { return name == varGroups })
	})
}

// NeedsRoles reports whether Facts.Roles is read.
func (p *Plan) NeedsRoles() bool {
	return p.needs(func(s *step) bool {
		return s.program != nil && s.program.roles ||
			s.text.uses(func(name string) bool { return name == varRoles || !standardVariable(name) })
	})
}

func (p *Plan) needs(what func(*step) bool) bool {
	if p == nil {
		return false
	}
	return p.engine.Script != nil || slices.ContainsFunc(p.steps, func(s step) bool { return what(&s) })
}

// Apply computes the claims. Of mappings of one claim the last that yields something
// counts, for each destination. A mapping that fails yields nothing, is counted, and
// named in the log; if it is required, the error is ErrRequired.
func (p *Plan) Apply(ctx context.Context, f *Facts) ([]Claim, error) {
	if p == nil {
		return nil, nil
	}
	var out []Claim
	size := 0
	for i := range p.steps {
		s := &p.steps[i]
		value, err := s.value(ctx, f)
		if size+len(value) > maxResults {
			err = errLimit
		}
		if err != nil {
			p.engine.tell(ctx, f, s.mapping, err)
			value = nil
		}
		if value == nil {
			if s.mapping.Required {
				p.engine.log.ErrorContext(ctx, "required claim mapping yields nothing, so no token is issued; correct the mapping or the user",
					"application", f.App.ID, "claim", s.mapping.Claim)
				return nil, fmt.Errorf("claim %s: %w", s.mapping.Claim, ErrRequired)
			}
			continue
		}
		size += len(value)
		out = add(out, Claim{Name: s.mapping.Claim, Value: value, Mapping: s.place, In: s.in})
	}
	if p.engine.Script == nil {
		return out, nil
	}
	out, err := p.engine.Script(ctx, f, out)
	return slices.DeleteFunc(out, func(c Claim) bool { return faultOfName(c.Name) != "" }), err
}

// An Outcome is what became of one mapping, for the simulator.
type Outcome struct {
	Mapping int    // its place
	Claim   string // that it maps
	In      []string
	Says    string // "claim", "nothing", or why it failed: compile, limit, evaluation, value
}

// Explain applies every step by itself and says what became of it. Nothing is logged or counted.
func (p *Plan) Explain(ctx context.Context, f *Facts) []Outcome {
	if p == nil {
		return nil
	}
	var all []Outcome
	for i := range p.steps {
		s := &p.steps[i]
		o := Outcome{Mapping: s.place, Claim: s.mapping.Claim, In: s.in, Says: "claim"}
		if value, err := s.value(ctx, f); err != nil {
			o.Says = err.Error()
		} else if value == nil {
			o.Says = "nothing"
		}
		all = append(all, o)
	}
	return all
}

// add takes from earlier claims of the same name the destinations of the new one.
func add(out []Claim, c Claim) []Claim {
	for i := range out {
		if out[i].Name == c.Name {
			out[i].In = slices.DeleteFunc(slices.Clone(out[i].In), c.GoesTo)
		}
	}
	return append(slices.DeleteFunc(out, func(o Claim) bool { return len(o.In) == 0 }), c)
}

func (s *step) value(ctx context.Context, f *Facts) (json.RawMessage, error) {
	if s.program != nil {
		return s.program.value(ctx, f)
	}
	return s.text.value(f)
}

func (e *Engine) tell(ctx context.Context, f *Facts, m *Mapping, err error) {
	e.failed.WithLabelValues(err.Error()).Inc()
	e.log.WarnContext(ctx, "claim mapping failed, its claim is left out", "application", f.App.ID, "claim", m.Claim, "reason", err.Error())
}
