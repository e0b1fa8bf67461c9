package page

import "testing"

func TestScriptsAreSentWithoutComments(t *testing.T) {
	got := string(lean([]byte("// what it is for\nlet a = 'http://x'; // stays\n\n  // why\n  a();\n")))
	if want := "let a = 'http://x'; // stays\n\na();\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for name, a := range assets {
		if len(a.content) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}

func TestLeanStyle(t *testing.T) {
	t.Parallel()
	got := string(leanStyle([]byte("/* why\n   so */\na b:hover, a {\n  color: red; /* not blue */\n\tmargin: 0 1px;\n}\n")))
	if want := "\na b:hover,a{color:red;margin:0 1px;}"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
