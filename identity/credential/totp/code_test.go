package totp_test

import (
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity/credential/totp"
)

// The values of RFC 4226, appendix D.
func TestHOTPVectors(t *testing.T) {
	t.Parallel()
	for i, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		if got := totp.Code(totp.Parameters{}, []byte("12345678901234567890"), int64(i)); got != want {
			t.Errorf("counter %d: %s, want %s", i, got, want)
		}
	}
}

// The values of RFC 6238, appendix B. Its keys are as long as the hash is (erratum 2866).
func TestTOTPVectors(t *testing.T) {
	t.Parallel()
	const digits = "1234567890"
	keys := map[totp.Algorithm][]byte{
		totp.SHA1:   []byte(strings.Repeat(digits, 2)),
		totp.SHA256: []byte(strings.Repeat(digits, 4)[:32]),
		totp.SHA512: []byte(strings.Repeat(digits, 7)[:64]),
	}
	for _, c := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for alg, want := range map[totp.Algorithm]string{totp.SHA1: c.sha1, totp.SHA256: c.sha256, totp.SHA512: c.sha512} {
			if got := totp.Code(totp.Parameters{Algorithm: alg, Digits: 8}, keys[alg], c.at/30); got != want {
				t.Errorf("%s at %d: %s, want %s", alg, c.at, got, want)
			}
		}
	}
}

func TestTyped(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"123456": "123456", "123 456": "123456", " 123\u00a0456\t": "123456", "123-456": "123456",
		"": "", "12345a": "12345a", strings.Repeat("1", 1<<20): "",
	} {
		if got := totp.Typed(in); got != want {
			t.Errorf("%.20q: %q, want %q", in, got, want)
		}
	}
}
