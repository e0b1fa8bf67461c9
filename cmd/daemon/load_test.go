package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/keys/seal"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "quis.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	t.Parallel()
	file := write(t, "node_id: file\ndata_dir: /file\npublic_url: https://file.example.com\ncluster:\n  join: [a:8300, b:8300]\n  heartbeat: 1s\n")
	c, err := daemon.Load(daemon.Source{
		File:  file,
		Env:   []string{"QUIS_DATA_DIR=/env", "QUIS_PUBLIC_URL=https://env.example.com", "QUIS_CLUSTER_JOIN=c:8300, d:8300", "PATH=/bin", "QUIS_TOKEN=x"},
		Flags: map[string][]string{"public_url": {"https://flag.example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.NodeID != "file" || c.DataDir != "/env" || c.PublicURL != "https://flag.example.com" {
		t.Errorf("got node_id %q, data_dir %q, public_url %q", c.NodeID, c.DataDir, c.PublicURL)
	}
	if diff := cmp.Diff([]string{"c:8300", "d:8300"}, c.Cluster.Join); diff != "" {
		t.Error(diff)
	}
	if c.Cluster.Heartbeat != time.Second {
		t.Errorf("heartbeat %s", c.Cluster.Heartbeat)
	}
}

func TestEveryMistakeIsReportedWithItsPlace(t *testing.T) {
	t.Parallel()
	file := write(t, `node_id: one
listn: {public: ":80"}
cluster:
  lisen: ":1"
  bootstrap_expect: three
  join: {a: b}
log:
  level: loud
staleness: [1, 2]
root_key: secret-that-must-not-appear
dev: perhaps
`)
	_, err := daemon.Load(daemon.Source{
		File:  file,
		Env:   []string{"QUIS_CLUSTER_LISTN=:1", "QUIS_STALENESS=soon"},
		Flags: map[string][]string{"dev": {"maybe"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.ReplaceAll(err.Error(), file, "FILE")
	for _, want := range []string{
		`FILE:2:1: unknown key "listn"; did you mean "listen"?`,
		`FILE:4:3: unknown key "cluster.lisen"; did you mean "listen"?`,
		`FILE:5:21: cluster.bootstrap_expect: "three" is not a whole number`,
		`FILE:6:`, `cluster.join: a value is wanted, found keys and values`,
		`FILE:8:10: log.level: "loud" is none of debug, info, warn, error`,
		`FILE:9:12: staleness: one value is wanted, found a list`,
		`FILE:10:11: root_key: `,
		`FILE:11:6: dev: "perhaps" is neither true nor false`,
		`environment: unknown variable QUIS_CLUSTER_LISTN; did you mean "QUIS_CLUSTER_LISTEN"?`,
		`environment: QUIS_STALENESS: "soon" is not a duration such as 500ms or 2s`,
		`--dev: "maybe" is neither true nor false`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "secret-that") {
		t.Error("the root key is in the error")
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"syntax":       {"a: [1\nb: {", ":"},
		"not a map":    {"just words", "expected keys and values, found a single value"},
		"second":       {"node_id: a\n---\nnode_id: b", "a second document"},
		"duplicate":    {"node_id: a\nnode_id: b", "already defined"},
		"section text": {"cluster: yes", "expected keys and values"},
		"anchor":       {"data_dir: &x /a", "anchor"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := daemon.Load(daemon.Source{File: write(t, c.text)})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
	if _, err := daemon.Load(daemon.Source{File: "/nowhere/quis.yaml"}); err == nil || !strings.Contains(err.Error(), "/nowhere/quis.yaml: there is no such file") {
		t.Errorf("missing file: %v", err)
	}
}

func TestKubernetesServiceLinksAreNotMistakes(t *testing.T) {
	t.Parallel()
	env := []string{"QUIS_SERVICE_HOST=10.0.0.1", "QUIS_SERVICE_PORT=80", "QUIS_PORT=tcp://10.0.0.1:80", "QUIS_PORT_80_TCP_ADDR=10.0.0.1", "QUIS_HTTP_SERVICE_PORT_HTTP=80"}
	if _, err := daemon.Load(daemon.Source{Env: env}); err != nil {
		t.Error(err)
	}
}

func valid() daemon.Config {
	c := daemon.Default()
	c.NodeID, c.PublicURL, c.RootKey = "one", "https://id.example.com", seal.GenerateRootKey()
	return c
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := valid()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*daemon.Config){
		`node_id: "A b"`:                func(c *daemon.Config) { c.NodeID = "A b" },
		"must be https":                 func(c *daemon.Config) { c.PublicURL = "http://id.example.com" },
		"without a slash at the end":    func(c *daemon.Config) { c.PublicURL = "https://id.example.com/" },
		"public_url: is empty":          func(c *daemon.Config) { c.PublicURL = "" },
		"no root key":                   func(c *daemon.Config) { c.RootKey = nil },
		"listen.public":                 func(c *daemon.Config) { c.Listen.Public = "8080" },
		"cluster.advertise":             func(c *daemon.Config) { c.Cluster.Advertise = "0.0.0.0:8300" },
		"cert_file and key_file":        func(c *daemon.Config) { c.TLS.CertFile = "x" },
		"nothing could receive":         func(c *daemon.Config) { c.TLS.CertificateURL = "https://id.example.com:8443" },
		"certificates: needs tls":       func(c *daemon.Config) { c.Listen.Certificates = ":8443" },
		"certificate_url: is empty":     func(c *daemon.Config) { c.Listen.Certificates, c.TLS.CertFile, c.TLS.KeyFile = ":8443", "x", "x" },
		"listen.certificates: \"8443\"": func(c *daemon.Config) { c.Listen.Certificates = "8443" },
		"tls.certificate_url: \"x\"":    func(c *daemon.Config) { c.TLS.CertificateURL = "x" },
		"trusted_proxies":               func(c *daemon.Config) { c.TrustedProxies = []string{"proxy"} },
		"outbound.allow":                func(c *daemon.Config) { c.Outbound.Allow = []string{"intranet"} },
		"outbound.ports":                func(c *daemon.Config) { c.Outbound.Ports = []string{"70000"} },
		"bootstrap_expect is 3":         func(c *daemon.Config) { c.Cluster.BootstrapExpect = 3 },
		"bootstrap_expect: -1":          func(c *daemon.Config) { c.Cluster.BootstrapExpect = -1 },
		"not a loopback address":        func(c *daemon.Config) { c.Dev = true },
		"staleness: 1ms is out":         func(c *daemon.Config) { c.Staleness = time.Millisecond },
		`log.format: "xml"`:             func(c *daemon.Config) { c.Log.Format = "xml" },
		"cluster.heartbeat: 1m0s is o":  func(c *daemon.Config) { c.Cluster.Heartbeat = time.Minute },
	} {
		c := valid()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	bad := daemon.Config{}
	if err := bad.Validate(); err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("mistakes are not reported all at once: %v", err)
	}
}

// What WriteYAML writes is read back as the same configuration.
func TestWriteYAML(t *testing.T) {
	t.Parallel()
	want := valid()
	want.RootKey, want.RootKeyFile = nil, "/etc/quis/root key"
	want.DataDir = `/tmp/it's "here"`
	want.Listen.Public = "[::1]:8080"
	want.Cluster.Join = []string{"node-2:8300", "[::1]:8300"}
	want.TrustedProxies = []string{"10.0.0.0/8"}
	want.Dev = true
	for _, commented := range []bool{true, false} {
		var b strings.Builder
		daemon.WriteYAML(&b, &want, commented)
		got, err := daemon.Load(daemon.Source{File: write(t, b.String())})
		if err != nil {
			t.Fatalf("%v in:\n%s", err, b.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("commented %v: %s", commented, diff)
		}
		if commented {
			for _, s := range daemon.Settings() {
				if !s.Secret && !strings.Contains(b.String(), s.Doc) {
					t.Errorf("%s is not explained", s.Key)
				}
			}
		}
	}
}

func TestSettingNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range daemon.Settings() {
		for _, name := range []string{s.Flag(), s.Env()} {
			if seen[name] {
				t.Errorf("%s stands for two settings", name)
			}
			seen[name] = true
		}
		if !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s: %q is not a sentence", s.Key, s.Doc)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("node_id: a\ncluster: {join: [a, b], listen: \":1\"}\n")
	f.Add("listen:\n  public: |\n    x\n  operations: >-\n    y\n")
	f.Add("? a\n: b\n")
	f.Add("a: &a [*a]\n<<: *a\n!!str b: c")
	f.Add("- 1\n---\n...\n# x")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "quis.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := daemon.Load(daemon.Source{File: file})
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, file) {
					t.Errorf("a mistake without its place: %q", line)
				}
			}
			return
		}
		if err := c.Validate(); err == nil && c.PublicURL == "" {
			t.Error("valid without a public URL")
		}
	})
}
