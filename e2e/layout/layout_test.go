package layout

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/quis-idp/quis"

// floors says what each top-level folder may import of the others.
var floors = map[string][]string{
	"fsm":        {},
	"keys":       {"fsm"},
	"cluster":    {"fsm", "keys"},
	"identity":   {"fsm", "keys"},
	"federation": {"fsm", "keys", "identity"},
	"api":        {"fsm", "keys", "identity", "federation", "cluster"},
	"cmd":        {"fsm", "keys", "identity", "federation", "cluster", "api"},
	"deploy":     {},
	"e2e":        {"fsm", "keys", "identity", "federation", "cluster", "api", "cmd"},
}

// confined says where a third-party module may be imported by product code, and
// why it is there. Test files and e2e may use what they need.
var confined = []struct{ module, rooms, reason string }{
	{"github.com/cockroachdb/pebble", "fsm", "the storage engine"},
	{"github.com/fxamacker/cbor", "fsm cluster/wire federation identity keys cluster", "one binary encoding for rows, frames and sealed values"},
	{"github.com/hashicorp/raft-boltdb", "cluster", "Raft log and vote on disk"},
	{"github.com/hashicorp/raft", "cluster", "consensus"},
	{"github.com/hashicorp/memberlist", "cluster/gossip", "discovery and failure detection"},
	{"github.com/hashicorp/go-hclog", "cluster", "the logger type that raft wants"},
	{"go.etcd.io/bbolt", "cluster", "options of the Raft log's file"},
	{"github.com/ory/fosite", "federation/oidc", "OAuth 2 request and response pipeline"},
	{"github.com/go-jose/go-jose/v4", "federation/jose", "keys and tokens made by others"},
	{"cel.dev/cel-go", "federation/claim", "expressions that map claims"},
	{"google.golang.org/protobuf", "federation/claim", "values of cel-go"},
	{"github.com/go-webauthn", "identity/credential/passkey", "passkeys"},
	{"github.com/google/uuid", "identity/credential/passkey", "AAGUIDs as go-webauthn wants them"},
	{"github.com/wneessen/go-mail", "identity/notify", "SMTP and the format of mail"},
	{"github.com/crewjam/saml", "federation/saml federation/upstream", "SAML"},
	{"github.com/FastFilter/xorfilter", "identity/credential/breach", "filters of breached passwords"},
	{"github.com/nbutton23/zxcvbn-go", "identity/credential/strength", "how many guesses a password is worth"},
	{"github.com/prometheus/", "api cluster fsm identity federation keys cmd", "metrics"},
	{"github.com/spf13/", "cmd", "command line"},
	{"github.com/goccy/go-yaml", "cmd", "configuration and bootstrap files with error positions"},
	{"golang.org/x/crypto", "identity/credential keys", "argon2id"},
	{"rsc.io/qr", "identity/credential/totp", "QR codes for authenticator apps"},
	{"filippo.io/age", "cluster/backup", "how backups are sealed"},
	{"github.com/minio/minio-go", "cluster/backup", "S3-compatible stores for backups"},
	{"golang.org/x/term", "cmd/quis/line", "passwords that a terminal does not show"},
	{"golang.org/x/text", "identity api federation", "Unicode normal forms of names"},
}

// Sizes beyond which the build fails, in lines. Aim far below; see CONTRIBUTING.
const (
	maxFile     = 600
	maxFunction = 80
	maxRoom     = 2500
	maxMakefile = 60
)

// largeRooms may be larger, for the reason given.
var largeRooms = map[string]int{
	"fsm":             4850, // the ground: one store, whose parts share their types
	"api/admin":       2800, // the resources, on anybody's account and on one's own, whose answers share their shapes
	"identity/authn":  3400, // one state machine, whose steps share the flow
	"cmd/daemon":      2900, // the wiring of every room
	"api/login":       2650, // the pages of one sign-in, which asks for the name first
	"e2e/bench":       2700, // measurements, one after the other
	"federation/oidc": 6000, // the provider, whose endpoints share it; what can stand alone is a room beside it
}

// allowedTop is everything that may stand at the top of the repository.
var allowedTop = []string{
	"cmd", "cluster", "fsm", "identity", "federation", "keys", "api", "deploy", "e2e",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CONTRIBUTING.md", ".ci", ".gitignore", ".git",
}

func TestFloors(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		from, _, _ := strings.Cut(f.path, "/")
		for _, imp := range f.imports() {
			to, ok := strings.CutPrefix(imp, module+"/")
			if !ok {
				continue
			}
			to, _, _ = strings.Cut(to, "/")
			if to != from && !slices.Contains(floors[from], to) {
				t.Errorf("%s imports %s: %s may import only %v", f.path, imp, from, floors[from])
			}
		}
	}
}

func TestConfinedModules(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if f.test() || strings.HasPrefix(f.path, "e2e/") || strings.Contains(f.path, "test/") {
			continue
		}
	next:
		for _, imp := range f.imports() {
			first, _, _ := strings.Cut(imp, "/")
			if !strings.Contains(first, ".") || strings.HasPrefix(imp, module) {
				continue
			}
			for _, c := range confined {
				if imp != strings.TrimSuffix(c.module, "/") && !strings.HasPrefix(imp, strings.TrimSuffix(c.module, "/")+"/") {
					continue
				}
				for _, room := range strings.Fields(c.rooms) {
					if f.dir() == room || strings.HasPrefix(f.path, room+"/") {
						continue next
					}
				}
				t.Errorf("%s imports %s, which is confined to %s (%s)", f.path, imp, c.rooms, c.reason)
				continue next
			}
			t.Errorf("%s imports %s, which is not in the table of third-party modules", f.path, imp)
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	t.Parallel()
	lines := map[string]int{}
	for _, f := range sources(t) {
		if f.test() {
			continue
		}
		lines[f.dir()] += 0
		if f.ast.Doc != nil {
			lines[f.dir()] += f.line(f.ast.Doc.End()) - f.line(f.ast.Doc.Pos()) + 1
		}
	}
	for dir, n := range lines {
		if n < 3 || n > 30 {
			t.Errorf("%s: package comment of %d lines, want 3 to 30", dir, n)
		}
	}
}

func TestExportedNamesHaveComments(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if f.test() || strings.HasSuffix(f.path, "_gen.go") || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s:%d: %s has no comment", f.path, f.line(d.Pos()), name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration that nothing explains.
func undocumented(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d.Recv) && !wellKnown[d.Name.Name]) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil && !d.Lparen.IsValid() {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// wellKnown methods are explained by the interface they satisfy.
var wellKnown = map[string]bool{
	"String": true, "GoString": true, "Error": true, "Unwrap": true, "Is": true, "LogValue": true, "Format": true,
	"MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true, "ServeHTTP": true,
	"Len": true, "Less": true, "Swap": true, "Push": true, "Pop": true, "Describe": true, "Collect": true,
	"Read": true, "Write": true, "Close": true, "MarshalYAML": true, "UnmarshalYAML": true,
}

func exportedReceiver(r *ast.FieldList) bool {
	t := r.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

func TestSizes(t *testing.T) {
	t.Parallel()
	rooms := map[string]int{}
	for _, f := range sources(t) {
		if strings.HasSuffix(f.path, "_gen.go") {
			continue
		}
		n := f.line(f.ast.FileEnd)
		if n > maxFile {
			t.Errorf("%s has %d lines, at most %d", f.path, n, maxFile)
		}
		if f.test() {
			continue
		}
		rooms[f.dir()] += n
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFunction {
					t.Errorf("%s:%d: %s has %d lines, at most %d", f.path, f.line(fn.Pos()), fn.Name.Name, n, maxFunction)
				}
			}
		}
	}
	for dir, n := range rooms {
		limit := maxRoom
		if l, ok := largeRooms[dir]; ok {
			limit = l
		}
		if n > limit {
			t.Errorf("%s has %d lines, at most %d: split it by idea", dir, n, limit)
		}
	}
	if b, err := os.ReadFile(filepath.Join(root(t), "Makefile")); err != nil {
		t.Error(err)
	} else if n := strings.Count(string(b), "\n"); n > maxMakefile {
		t.Errorf("Makefile has %d lines, at most %d", n, maxMakefile)
	}
}

func TestNoForbiddenNames(t *testing.T) {
	t.Parallel()
	forbidden := []string{"internal", "util", "utils", "common", "models", "types", "service", "services", "manager", "helper", "helpers", "dto", "impl"}
	for _, f := range sources(t) {
		for _, part := range strings.Split(f.dir(), "/") {
			if slices.Contains(forbidden, part) {
				t.Errorf("%s: no package is named %s here", f.path, part)
			}
		}
	}
}

// TestApplyIsPure: what every replica runs on the log must not depend on the replica.
func TestApplyIsPure(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if f.test() || f.dir() != "fsm" || !strings.HasPrefix(path.Base(f.path), "apply") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && (x.Name == "rand" || x.Name == "os" || x.Name == "time" && s.Sel.Name != "Time" && s.Sel.Name != "UnixMilli") {
				t.Errorf("%s:%d: Apply uses %s.%s", f.path, f.line(s.Pos()), x.Name, s.Sel.Name)
			}
			return true
		})
	}
}

// TestTestsWaitOnConditions: a test that sleeps is slow on a fast machine and wrong
// on a slow one; a test that skips itself proves nothing.
func TestTestsWaitOnConditions(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if !f.test() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := c.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := x.Name + "." + s.Sel.Name
			if name == "time.Sleep" && !f.importsPath("testing/synctest") || name == "t.Skip" || name == "t.Skipf" || name == "t.SkipNow" {
				t.Errorf("%s:%d: %s in a test", f.path, f.line(c.Pos()), name)
			}
			return true
		})
	}
}

func TestTopLevelAndGoMod(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowedTop, e.Name()) && !ignored(t, e.Name()) {
			t.Errorf("%s does not belong at the top of the repository", e.Name())
		}
	}
	b, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word == "replace" || word == "exclude" {
			t.Errorf("go.mod: %q: go install refuses a module with replace or exclude", line)
		}
	}
}
