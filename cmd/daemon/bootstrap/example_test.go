package bootstrap

import (
	"os"
	"reflect"
	"regexp"
	"testing"
)

// The example in deploy shows every key, works as it is, and holds no secret that
// somebody could run with.
func TestExample(t *testing.T) {
	t.Parallel()
	const name = "../../../deploy/bootstrap.yaml"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Users) != 1 || f.Users[0].Password != "" || len(f.Applications) != 1 || f.Applications[0].ClientSecret != "" || len(f.Tokens) != 0 {
		t.Error("the example is empty, or has a secret")
	}
	var walk func(reflect.Type)
	walk = func(s reflect.Type) {
		for i := range s.NumField() {
			field := s.Field(i)
			key := field.Tag.Get("yaml")
			if key != "-" && !regexp.MustCompile(`(?m)^[# ]*(- )?`+key+`:`).Match(text) {
				t.Errorf("%s does not show %s of %s", name, key, s.Name())
			}
			if field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct {
				walk(field.Type.Elem())
			}
		}
	}
	walk(reflect.TypeFor[content]())
}
