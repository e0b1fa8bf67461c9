package caller

import "testing"

func FuzzClientCredentialsHeader(f *testing.F) {
	f.Add("Basic d2ViOnNlY3JldA==")
	f.Add("basic d2ViOiUyNSUyQg==")
	f.Add("Basic :")
	f.Fuzz(func(t *testing.T, header string) {
		if c, ok := readBasic(header); ok && (len(c.secrets) == 0 || len(c.secrets) > 2) {
			t.Fatalf("%q: %d spellings of the secret", header, len(c.secrets))
		}
	})
}
