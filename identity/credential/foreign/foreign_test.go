package foreign_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity/credential/argon2"
	"github.com/quis-idp/quis/identity/credential/foreign"
)

const right = "correct horse bätтery"

// made are hashes of right by the programs they are named after: passlib 1.7.4, bcrypt 4.0.1,
// argon2-cffi, Django; the rest by their documentation with Python's hashlib.
var made = []struct{ by, encoded string }{
	{"passlib pbkdf2_sha1", `$pbkdf2$6000$01rrPUeoFWIsBaB07h0j5A$9go5H0Szx3EvQBtoASVUfbaulhM`},
	{"passlib pbkdf2_sha256", `$pbkdf2-sha256$6000$KwWgVKrVujfmHEPo3VsLQQ$jFXv5MzpCin/w1HNwxDLmqZ69ZmyKi81qCp7zp4Cezo`},
	{"passlib pbkdf2_sha512", `$pbkdf2-sha512$6000$0prz/j9nrFWKEUIIIeT8nw$1rPqo18BDkUjIaoQM/nkvG5xrO5YFZxnOPjx9n0CY/tTwSGuWDN2idYAGTDhgMMaYcbf49l6grPgk3WwMFXcew`},
	{"passlib sha256_crypt", `$5$rounds=6000$xhYTDGqpi68WuzSo$W19ULIkxtCCUppqniMwrTmGLtm80T6ho3S.tQhjR2j0`},
	{"passlib sha512_crypt", `$6$rounds=6000$2UReH108BkldXS0v$JzYYiH5qEoC3ct3lGunX8PXcQJ9losw4YwhNgt1qEhXP7cj/ucUubc3MjcxSyTJrHRPmDYqKc1Ak1IVVfzk3F1`},
	{"passlib ldap_salted_sha1", `{SSHA}4Vd2+CRgMkfF6X7qRJtkAKb9WQvovVdq`},
	{"passlib ldap_salted_sha256", `{SSHA256}oV+Xe5sMfoYb4qtDeE7p4oYIUQ04mY6n5D/3q80C3NWMsfaes1bKeQ==`},
	{"passlib ldap_salted_sha512", `{SSHA512}h9qBsuYyxzL10V3AQJ7QVs6IuEPJ/BZnwxyqkIRDv4iQ+cA3tWO76nCypJWzA9LA06SAuvA8bjz1tpLJ1aby6qe0lpIyZizl`},
	{"passlib sha512_crypt implicit", `$6$Me6WXrPzZhjhZzzY$pqzp16yRcweNyIlzswmvq.nDPoj09HkG6GGI/Gym1ruBx6Du.jzaLOjQ1tg3nP4TuQVdF10rLgGYZTlk8ixqb/`},
	{"passlib scrypt", `$scrypt$ln=10,r=8,p=1$7n0vJYRQSqmVsjYmpJRyLg$qDvbAl1/BYB43y7jqNNY2wD1E4nY0moq4KGbykl7e+w`},
	{"passlib ldap sha512 crypt", `{CRYPT}$6$rounds=1234$49SMZRmpWF6b1//A$mLnaqQ8gjiemi6o/axf/s7G3/ogKMDCTuK82JPY1aD9N2OVi7vGKCOPXgILoQI/LB3mkl0T5sLPMDuXL8iVdU/`},
	{"bcrypt 2a", `$2a$04$rY0h4vMa6khRC2s47j4xuOjOWc2qpjqdw1VLr9hFb/0m9A.Ab.Uf6`},
	{"bcrypt 2b", `$2b$04$jGFOqhGe1OSBr2ymqv7L/uDCIAs81NjiaFuz3iQYci0A2f3n/v2/q`},
	{"bcrypt 2y", `$2y$04$DX3/2Zz75OF58XITFX47Zu4YDUJFoVxKzMPx0zE91JbfRAD8ezczO`},
	{"argon2d", `$argon2d$v=19$m=128,t=2,p=2$UvS3r5Y4atWDhEH6sszumA$QAHo5HdZHqTE0XWozmYJNc2izNfa0yRa5leDDs9A8YI`},
	{"argon2d pass 1", `$argon2d$v=19$m=64,t=1,p=1$C3GPpWrKFnA$96YTl0oNbmp9Ya/L6uCe3pdIWEaXr/QF`},
	{"argon2i", `$argon2i$v=19$m=128,t=2,p=2$H6NShzl7Wy8TH708rPJhzA$49bAvXMKu7dYVo8p0MF6e/wvnxVaenVkBJetu2PEYyY`},
	{"argon2i pass 1", `$argon2i$v=19$m=64,t=1,p=1$YY5WtISAnZQ$GLkRaiIMWZLMDP+Vfgvgwy/Fr4oeHj44`},
	{"argon2id", `$argon2id$v=19$m=128,t=2,p=2$QDTZget554Efv/ccm4y/vg$A4XXCeGgo5oh7Oxq47LrMXREUyeBfCBIcIrWe1+u4Uw`},
	{"argon2id pass 1", `$argon2id$v=19$m=64,t=1,p=1$fGfhS/TPAH8$sapGfTJkHdxJi9JcPAV31gQZmcS9ZM6g`},
	{"django pbkdf2", `pbkdf2_sha256$6000$saltysalt$Ck3A4bCyfhKX0MAoVFl/OIWt0l69zZKABWU48op9qdw=`},
	{"django pbkdf2_sha1", `pbkdf2_sha1$6000$saltysalt$xl5W+SIJ6YIUASzOEg+vt8hUW3Y=`},
	{"django scrypt", `scrypt$1024$saltysalt$8$5$piDIN0Wp9/UKvsizowEm9PyTLNiK++Pb6YMAnfb44w7v5knsFQrrs0OoI8Km0wFIXrRXBj2vkjkyxFR3I1x27w==`},
	{"django argon2", `argon2$argon2id$v=19$m=128,t=1,p=1$c2FsdHlzYWx0$4CopIUY6jSK5NKryQ6RGCRsTi0fLURo8LnrMQOnQ9nk`},
	{"django bcrypt_sha256", `bcrypt_sha256$$2b$04$BH9z.HfP36IISAXWPraVi.5pC6gC1Z1kgT4K45Ik28r.2InsrPHi.`},
	{"django bcrypt", `bcrypt$$2b$04$MXLbACgt1yteOQupPOAgtOgodYFS2fqFW8VdljYmr3iti76t6imfK`},
	{"keycloak sha512", `{"id": "x", "type": "password", "createdDate": 1, "secretData": "{\"value\": \"MZS+viAKf3TSuSmZ+7hqy8E0bV4cPXJikbaiTSckpwEWbqmBeaKKOVzU4mA0/sPcYFkhdXyRnpv1P+uOjocx7A==\", \"salt\": \"ghCwQfsLZIB+ggORYp0JIg==\", \"additionalParameters\": {}}", "credentialData": "{\"hashIterations\": 6000, \"algorithm\": \"pbkdf2-sha512\", \"additionalParameters\": {}}"}`},
	{"keycloak sha256 long", `{"id": "x", "type": "password", "createdDate": 1, "secretData": "{\"value\": \"RtKe70P1jZDWfk0mRpYeyueAyDVyx1c+K23O7mYQ4IFTR2xIbmYTibKy/Mv14JMkJMJQv3x7+9vO4P8GKr+aPg==\", \"salt\": \"ghCwQfsLZIB+ggORYp0JIg==\", \"additionalParameters\": {}}", "credentialData": "{\"hashIterations\": 6000, \"algorithm\": \"pbkdf2-sha256\", \"additionalParameters\": {}}"}`},
	{"keycloak argon2", `{"id": "x", "type": "password", "createdDate": 1, "secretData": "{\"value\": \"ItPylQI5Ij5S8TwyOEW79FscUYG6k+/KNIKMUv3zQYI=\", \"salt\": \"ghCwQfsLZIB+ggORYp0JIg==\", \"additionalParameters\": {}}", "credentialData": "{\"hashIterations\": 3, \"algorithm\": \"argon2\", \"additionalParameters\": {\"hashLength\": [\"32\"], \"memory\": [\"128\"], \"type\": [\"id\"], \"version\": [\"1.3\"], \"parallelism\": [\"1\"]}}"}`},
	{"keycloak old", `{"type": "password", "hashedSaltedValue": "RtKe70P1jZDWfk0mRpYeyueAyDVyx1c+K23O7mYQ4IFTR2xIbmYTibKy/Mv14JMkJMJQv3x7+9vO4P8GKr+aPg==", "salt": "ghCwQfsLZIB+ggORYp0JIg==", "hashIterations": 6000, "algorithm": "pbkdf2-sha256"}`},
	{"werkzeug pbkdf2", `pbkdf2:sha256:6000$saltysalt$0a4dc0e1b0b27e1297d0c02854597f3885add25ebdcd9280056538f28a7da9dc`},
	{"werkzeug scrypt", `scrypt:1024:8:1$saltysalt$12ca9925286924c88ebf32c1de68b4effa089edddf487976f09d52d1322369f0ba3d5d331f3a4186652bef2ea8e6a20adbc3e093815a8a75a349d33661f4c656`},
	{"ldap ssha384", `{SSHA384}5/Yk2GBJ6YfYYKtGFCKyTBpN1kt0+Dg0u3GORkfgVvF1G723a8JG0vOqUI+fA29uc2FsdHNhbHQ=`},
}

func TestMatches(t *testing.T) {
	t.Parallel()
	var m argon2.Memory
	for _, c := range made {
		h, err := foreign.Parse(c.encoded)
		if err != nil {
			t.Errorf("%s: %v", c.by, err)
			continue
		}
		for password, want := range map[string]bool{
			right: true, "correct horse ba\u0308tтery": true, // composed otherwise
			right + " ": false, right[1:]: false, "": false, strings.Repeat("x", 1025): false, strings.Repeat("x", 128): false,
		} {
			if h.Matches(&m, password) != want {
				t.Errorf("%s (%s): %.40q matches: %v", c.by, h.Algorithm, password, !want)
			}
		}
	}
}

// Made with openssl passwd: lengths beyond a block, rounds given and not.
func TestCryptVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ password, encoded string }{
		{"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{strings.Repeat("x", 100), "$6$rounds=1400$anotherlongsalts$BaMvyw440I21ozRaSVReppofjrlnjLm72zKf4/LMvD3AO8dSH.3nmJgq4q7zMhJWiFIPPy/0y4Uwap7YC1Uub0"},
		{strings.Repeat("x", 100), "$5$rounds=1400$anotherlongsalts$u1CElcvxfRe/hGJVreAFSBT1biWzGYAyGObdCI4Fg0D"},
		{"password", "$5$abc$6va2Z4O.keO7R84v9g0B9d2NkB7NOyTy0sMeQ5Z3LLA"},
	} {
		h, err := foreign.Parse(c.encoded)
		if err != nil {
			t.Errorf("%s: %v", c.encoded, err)
		} else if !h.Matches(nil, c.password) || h.Matches(nil, c.password+"x") {
			t.Errorf("%s does not match", c.encoded)
		}
	}
}

// What no node may be made to compute is refused before it hashes: none of these takes time.
func TestHostileCostsAreRefused(t *testing.T) {
	t.Parallel()
	const salt, key = "c2FsdHNhbHRzYWx0", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	crypt := strings.Repeat("a", 43)
	kc := func(data string) string {
		return `{"secretData":{"value":"` + key + `","salt":"` + salt + `"},"credentialData":` + data + `}`
	}
	begin := time.Now()
	for _, encoded := range []string{
		"$argon2id$v=19$m=4294967295,t=4294967295,p=255$" + salt + "$" + key,
		"$argon2id$v=19$m=99999999999999999999999,t=1,p=1$" + salt + "$" + key,
		"$argon2i$v=19$m=262145,t=1,p=1$" + salt + "$" + key,
		"$argon2d$v=19$m=262144,t=5,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4096,t=17,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4096,t=2,p=17$" + salt + "$" + key,
		"argon2$argon2i$v=19$m=1048576,t=2,p=1$" + salt + "$" + key,
		"$2b$15$" + strings.Repeat("a", 53), "$2a$31$" + strings.Repeat("a", 53), "$2y$99$" + strings.Repeat("a", 53),
		"bcrypt_sha256$$2b$31$" + strings.Repeat("a", 53), "bcrypt$$2b$20$" + strings.Repeat("a", 53), "{CRYPT}$2b$20$" + strings.Repeat("a", 53),
		"$pbkdf2-sha256$2500001$" + salt + "$" + key, "$pbkdf2$1300000$" + salt + "$" + key, // two blocks of SHA-1
		"$pbkdf2-sha512$2000000$" + salt + "$" + strings.Repeat("a", 128), // of 96 bytes
		"pbkdf2_sha256$4294967295$saltsalt$" + key, "pbkdf2_sha256$99999999999999999999$saltsalt$" + key, "pbkdf2:sha256:9999999$saltsalt$" + strings.Repeat("ab", 32),
		"$scrypt$ln=18,r=8,p=1$" + salt + "$" + key, "$scrypt$ln=31,r=8,p=1$" + salt + "$" + key, "$scrypt$ln=63,r=1,p=1$" + salt + "$" + key,
		"$scrypt$ln=17,r=8,p=3$" + salt + "$" + key, "$scrypt$ln=10,r=1073741824,p=1$" + salt + "$" + key, "$scrypt$ln=1,r=1,p=1073741824$" + salt + "$" + key,
		"scrypt$1048576$saltsalt$8$1$" + key, "scrypt:262144:8:1$saltsalt$" + strings.Repeat("ab", 32),
		"$5$rounds=1000001$saltsalt$" + crypt, "$6$rounds=999999999$saltsalt$" + strings.Repeat("a", 86), "{CRYPT}$5$rounds=999999999$saltsalt$" + crypt,
		kc(`{"hashIterations":2147483647,"algorithm":"pbkdf2-sha256"}`), kc(`"{\"hashIterations\":27500000,\"algorithm\":\"pbkdf2-sha512\"}"`),
		kc(`{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"memory":["8388608"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`),
		kc(`{"hashIterations":2147483647,"algorithm":"argon2","additionalParameters":{"memory":["4096"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`),
	} {
		if _, err := foreign.Parse(encoded); !errors.Is(err, foreign.ErrCost) {
			t.Errorf("%s: %v", encoded, err)
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("refusing took %v", took)
	}
}

func TestOtherTextIsRefused(t *testing.T) {
	t.Parallel()
	const salt, key = "c2FsdHNhbHRzYWx0", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, encoded := range []string{
		"", "plaintext", "$", "{", "{}", "{SSHA}", "{SSHA}AAAA", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{MD5}X03MO1qnZdYdgyfeuILPmQ==", "$1$abc$wcJHxJ6s4qZ3yN1s0TX1v.",
		"$2x$04$" + strings.Repeat("a", 53), "$2b$03$" + strings.Repeat("a", 53), "$2b$4$" + strings.Repeat("a", 53), "$2b$04$" + strings.Repeat("a", 52), "$2b$04$" + strings.Repeat("a", 53) + "\n",
		"$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1,p=1,x=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=-64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$",
		"$argon2id$v=19$m=64,t=1,p=1$$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$CTFh", "argon2$argon2$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + key,
		"argon2$bcrypt$$2b$04$" + strings.Repeat("a", 53), "{CRYPT}{CRYPT}$5$salt$" + strings.Repeat("a", 43), "{CRYPT}ab0HyYDZ0mXXs",
		"$pbkdf2-sha256$0$" + salt + "$" + key, "$pbkdf2-md5$1000$" + salt + "$" + key, "$pbkdf2-sha256$1000$" + salt, "$pbkdf2-sha256$01000$" + salt + "$" + key,
		"$scrypt$ln=0,r=8,p=1$" + salt + "$" + key, "scrypt$1000$saltsalt$8$1$" + key, "scrypt:1024:8$saltsalt$ab",
		"$5$rounds=999$salt$" + strings.Repeat("a", 43), "$5$rounds=1000$$" + strings.Repeat("a", 43), "$5$" + strings.Repeat("s", 17) + "$" + strings.Repeat("a", 43), "$5$salt$" + strings.Repeat("a", 42), "$5$salt$" + strings.Repeat("*", 43),
		`{"type":"otp","secretData":"{}","credentialData":"{}"}`, `{"secretData":"nonsense","credentialData":"{}"}`, `{"secretData":7,"credentialData":[]}`,
		"bad \xff", "{SSHA}" + strings.Repeat("A", 2000),
	} {
		if _, err := foreign.Parse(encoded); !errors.Is(err, foreign.ErrFormat) {
			t.Errorf("%.60q: %v", encoded, err)
		}
	}
}

// atBounds are the dearest hashes that are taken.
var atBounds = []string{
	"$argon2id$v=19$m=262144,t=4,p=1$c2FsdHNhbHRzYWx0$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	"$2b$14$" + "DX3/2Zz75OF58XITFX47Zu4YDUJFoVxKzMPx0zE91JbfRAD8ezczO",
	"$pbkdf2$2500000$c2FsdHNhbHRzYWx0$go5H0Szx3EvQBtoASVUfbaulhM",
	"$pbkdf2-sha256$2500000$c2FsdHNhbHRzYWx0$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	"$pbkdf2-sha512$2500000$c2FsdHNhbHRzYWx0$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	"$scrypt$ln=17,r=8,p=2$c2FsdHNhbHRzYWx0$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	"$scrypt$ln=1,r=1,p=1048576$c2FsdHNhbHRzYWx0$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	"$5$rounds=1000000$saltsaltsaltsalt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
	"$6$rounds=1000000$saltsaltsaltsalt$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1.",
}

// BenchmarkAtBounds measures the time and memory that a stranger can have spent with one sign-in.
func BenchmarkAtBounds(b *testing.B) {
	for _, encoded := range atBounds {
		b.Run(strings.ReplaceAll(encoded[:min(len(encoded), 28)], "/", "_"), func(b *testing.B) {
			h, err := foreign.Parse(encoded)
			if err != nil {
				b.Fatal(err)
			}
			var m argon2.Memory
			defer m.Release()
			b.ReportAllocs()
			for range b.N {
				h.Matches(&m, strings.Repeat("x", 128))
			}
		})
	}
}

// Whatever parses says its algorithm, and can be computed with the cheapest of costs at once.
func FuzzParse(f *testing.F) {
	for _, c := range made {
		f.Add(c.encoded)
	}
	for _, encoded := range atBounds {
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		begin := time.Now()
		h, err := foreign.Parse(encoded)
		if time.Since(begin) > 500*time.Millisecond {
			t.Errorf("parsing %q took %v", encoded, time.Since(begin))
		}
		if err == nil && h.Algorithm == "" {
			t.Errorf("%q: no algorithm", encoded)
		}
		if err != nil && !errors.Is(err, foreign.ErrFormat) && !errors.Is(err, foreign.ErrCost) {
			t.Errorf("%q: %v", encoded, err)
		}
		if err != nil && len(encoded) > 20 && strings.Contains(err.Error(), encoded[10:]) {
			t.Errorf("the error repeats %q", encoded)
		}
	})
}
