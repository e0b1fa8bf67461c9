package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/ext"
)

// Bounds of an expression, when it is compiled and when it runs. A typical one costs 5 to
// 50; a filter over 500 groups some 3000.
const (
	maxNodes     = 1000  // of the syntax tree, macros expanded
	maxDepth     = 40    // of the syntax tree
	maxLoops     = 2     // comprehensions within one another, or one fed by another
	maxAllLoops  = 8     // in one expression; checking the types of many in a row takes long
	maxCost      = 20000 // CEL's own unit: about one per operation and per ten bytes of text
	maxElements  = 20000 // of all lists and maps alive
	maxRegexp    = 500   // instructions of a compiled regular expression
	maxTime      = 20 * time.Millisecond
	checkEvery   = 64 // iterations between two looks at the clock
	maxRemembers = 256
)

// A program is a compiled expression; immutable and safe for concurrent use.
type program struct {
	fault         string // why it cannot be used, with line and column; empty: it can
	eval          cel.Program
	groups, roles bool // whether it reads these
}

// environment is made when first needed: 0.6 ms and 50 KiB that nobody pays who has no
// expressions.
//
// The user's fields are variables with dots in their names, and there is no object user:
// a field that does not exist is a fault when the mapping is registered, and nobody can
// return the whole user. The variables are typed, so are all results.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	text, list := cel.StringType, cel.ListType(cel.StringType)
	options := []cel.EnvOption{
		cel.Variable("groups", list), cel.Variable("roles", list), cel.Variable("scopes", list),
		cel.Variable("user.email_verified", cel.BoolType),
		cel.Variable("request.amr", list),
		cel.Variable("request.auth_time", cel.TimestampType), cel.Variable("request.time", cel.TimestampType),
		ext.Strings(ext.StringsVersion(5)),
		cel.ParserExpressionSizeLimit(maxExpression), cel.ExpressionNodeLimit(maxNodes), cel.ParserRecursionLimit(maxDepth),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(maxLoops), cel.ValidateRegexLiterals(),
			cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	}
	for _, name := range textVariables {
		options = append(options, cel.Variable(name, text))
	}
	return cel.NewEnv(options...)
})

var textVariables = []string{
	"user.id", "user.username", "user.email", "user.name", "user.given_name", "user.family_name", "user.locale",
	"app.id", "app.client_id", "app.name", "request.grant", "request.ip", "request.acr",
}

// checking lets one expression be checked at a time: cel-go v0.33.2 makes a list of all names for the first fault that
// it finds, while it copies that for others.
var checking sync.Mutex

func checked(env *cel.Env, tree *cel.Ast) (*cel.Ast, *cel.Issues) {
	checking.Lock()
	defer checking.Unlock()
	return env.Check(tree)
}

// compile turns an expression into a program, or says why not.
func compile(expression string) *program {
	env, err := environment()
	if err != nil {
		return &program{fault: "cannot be compiled: " + err.Error()}
	}
	tree, issues := env.Parse(expression)
	if issues.Err() != nil {
		return &program{fault: explain(issues)}
	}
	loops := ast.MatchDescendants(ast.NavigateAST(tree.NativeRep()), ast.KindMatcher(ast.ComprehensionKind))
	if len(loops) > maxAllLoops {
		return &program{fault: fmt.Sprintf("has more than %d of all, exists, exists_one, filter and map", maxAllLoops)}
	}
	if tree, issues = checked(env, tree); issues.Err() != nil {
		return &program{fault: explain(issues)}
	}
	p := &program{}
	root := ast.NavigateAST(tree.NativeRep())
	for _, e := range ast.MatchDescendants(root, ast.FunctionMatcher(overloads.Matches)) {
		// What a pattern costs to compile is known only if the pattern is.
		call := e.AsCall()
		if pattern := call.Args()[len(call.Args())-1]; pattern.Kind() != ast.LiteralKind {
			at := tree.NativeRep().SourceInfo().GetStartLocation(e.ID())
			return &program{fault: located(at.Line(), at.Column(), "the pattern of matches must be a literal text")}
		}
	}
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		p.groups = p.groups || e.AsIdent() == "groups"
		p.roles = p.roles || e.AsIdent() == "roles"
	}
	p.eval, err = env.Program(tree, cel.CostLimit(maxCost), cel.MemoryLimit(maxElements),
		cel.InterruptCheckFrequency(checkEvery), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return &program{fault: "cannot be compiled: " + err.Error()}
	}
	return p
}

// explain returns the first fault with its place; lines and columns count from 1.
func explain(issues *cel.Issues) string {
	faults := issues.Errors()
	if len(faults) == 0 {
		return "cannot be compiled: " + issues.Err().Error()
	}
	first := faults[0]
	what := first.Message
	if strings.Contains(what, "undeclared reference to") && !strings.Contains(what, "did you mean") {
		what += "; there are groups, roles, scopes, user.email_verified, request.amr, request.auth_time, request.time, " +
			strings.Join(textVariables, ", ")
	}
	return located(first.Location.Line(), first.Location.Column(), what)
}

func located(line, column int, what string) string {
	if line < 1 {
		return what
	}
	return fmt.Sprintf("line %d, column %d: %s", line, column+1, what)
}

// Reasons why a mapping yields nothing; labels of the metric.
var (
	errCompile = errors.New("compile")
	errLimit   = errors.New("limit")
	errEval    = errors.New("evaluation")
)

// value runs the program. Errors of CEL may quote what they were given, so of them only
// the kind leaves here.
func (p *program) value(ctx context.Context, f *Facts) (json.RawMessage, error) {
	if p.fault != "" {
		return nil, errCompile
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	out, _, err := p.eval.ContextEval(ctx, activation{f})
	switch {
	case err == nil:
		return encode(out)
	case ctx.Err() != nil, strings.Contains(err.Error(), "limit exceeded"):
		return nil, errLimit
	default:
		return nil, errEval
	}
}

// activation shows facts to CEL by name.
type activation struct{ f *Facts }

// Parent returns nil: there is nothing beyond the facts.
func (activation) Parent() cel.Activation { return nil }

// ResolveName returns the value of a declared variable.
func (a activation) ResolveName(name string) (any, bool) {
	f := a.f
	switch name {
	case "groups":
		return f.Groups, true
	case "roles":
		return RoleNames(f.Roles), true
	case "scopes":
		return f.Scopes, true
	case "app.id":
		return f.App.ID, true
	case "app.client_id":
		return f.App.ClientID, true
	case "app.name":
		return f.App.Name, true
	case "request.grant":
		return f.Request.Grant, true
	case "request.ip":
		return f.Request.IP, true
	case "request.acr":
		return f.Request.ACR, true
	case "request.amr":
		return f.Request.AMR, true
	case "request.auth_time":
		return f.Request.AuthTime, true
	case "request.time":
		return f.Request.Time, true
	}
	return a.user(name)
}

// user resolves what is known of the user; of nobody everything is empty.
func (a activation) user(name string) (any, bool) {
	u := a.f.User
	if u == nil {
		if name == "user.email_verified" {
			return false, true
		}
		return "", strings.HasPrefix(name, "user.")
	}
	switch name {
	case "user.id":
		return a.f.Subject, true
	case "user.username":
		return u.Username, true
	case "user.email":
		return u.Email, true
	case "user.email_verified":
		return u.EmailVerified, true
	case "user.name":
		return u.Name, true
	case "user.given_name":
		return u.GivenName, true
	case "user.family_name":
		return u.FamilyName, true
	case "user.locale":
		return u.Locale, true
	}
	return nil, false
}
