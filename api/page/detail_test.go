package page

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity/credential/strength"
)

// heard are the rooms whose rules people break on pages.
var heard = []string{"identity/authn", "identity/credential", "identity/directory", "identity/policy", "identity/regain", "federation/device", "federation/ciba"}

// unheard are details that only administrators and programs get to see, by their beginning.
var unheard = []string{
	"Browsers read origins of at most", "Verifying this hash would cost", "This is not a password hash in a form", "A token can have the scopes",
	"The default tenant", "The tenant still", "must be 1 to 200", "of the default tenant", "cannot be set for", "must be 1 to 40", "must not begin or end",
	"is reserved", "is not a cursor", "is too long", "a user can be in", "needs an email address", "is not a path on this server", "The user has too many undecided",
	"The least", "Passwords can be used", "At most 24", "The list can have", "Each word of the list", "A token is ", "This sign-in page is no longer",
	"Browsers accept origins", "Browsers offer passkeys", "No other origin", "Other metadata", "Passkeys need a public address", "There is no such tenant", "This setup link",
	"There is no such recovery", "This user has no such factor", "This link has been used", "This recovery is over", "This user is disabled", "Two administrators have to agree",
	"You cannot approve", "You cannot recover", "A second administrator", "This user has no password", "is taken by another group", "is taken by another tenant",
	"This authority is", "must be one of", "Certificates of this authority", "This certificate was", "This is not a list of revoked", "The list is older", "No list was uploaded",
	"There are %d authorities", "The list names more", "These metadata have", "Its contents", "Its header", "Its certificate", "Its signature", "It has no number", "It describes",
	"It is too large", "It should be the file", "It carries",
}

// sentence is how a literal looks that speaks to people, wherever it stands.
var sentence = regexp.MustCompile(`^"[A-Z].* .*\."$`)

// TestEveryDetailIsKnown: what the rules of other rooms say to people is translated here,
// so a sentence that they change or add fails this test.
func TestEveryDetailIsKnown(t *testing.T) {
	t.Parallel()
	constructors := regexp.MustCompile(`^(Invalid|Denied|Limited|Unauthenticated|Exists|NotFound)$`)
	for _, room := range heard {
		err := filepath.WalkDir(filepath.Join("..", "..", filepath.FromSlash(room)), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "sentence") && len(spec.Values) == 1 {
					if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
						known(t, path, literal)
					}
				}
				if pair, ok := n.(*ast.KeyValueExpr); ok {
					if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Help" { // of metrics
						return false
					}
				}
				if literal, ok := n.(*ast.BasicLit); ok && sentence.MatchString(literal.Value) {
					known(t, path, literal)
				}
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				name, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !constructors.MatchString(name.Sel.Name) {
					return true
				}
				if x, ok := name.X.(*ast.Ident); !ok || x.Name != "identity" {
					return true
				}
				i := 0
				if len(call.Args) > 1 && name.Sel.Name != "Limited" {
					i = 1
				}
				if literal, ok := call.Args[i].(*ast.BasicLit); ok {
					known(t, path, literal)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func known(t *testing.T, path string, literal *ast.BasicLit) {
	t.Helper()
	text, err := strconv.Unquote(literal.Value)
	if err != nil || text == "" || details.Has(text) || slices.ContainsFunc(unheard, func(begin string) bool { return strings.HasPrefix(text, begin) }) {
		return
	}
	t.Errorf("%s: pages do not know %q: it belongs in details.go, or to those that people do not hear", path, text)
}

func TestFaultsOfPasswordsAreKnown(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		strength.TooShort, strength.TooLong, strength.Unreadable, strength.Repeated, strength.Common, strength.Blocked, strength.Personal,
		strength.Guessable, strength.Uppercase, strength.Number, strength.Special, strength.Breached, strength.Reused, strength.Present,
	} {
		text := strength.NewFault(code, 12).Text
		if said := detail(asking("/", "de", "", false), text); said == text {
			t.Errorf("%s is not translated: %s", code, text)
		}
	}
}
