package foreign

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// apacheConfig is a whole Apache that shows /private only to people whom mod_auth_openidc
// has signed in, and to /eng only those in the group eng. It says who they are in headers.
const apacheConfig = `
ServerRoot %[1]s
ServerName localhost
PidFile %[1]s/pid
ErrorLog %[1]s/error.log
LogLevel warn auth_openidc:info
Listen 127.0.0.1:%[2]d
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule auth_openidc_module /usr/lib/apache2/modules/mod_auth_openidc.so
TypesConfig /etc/mime.types
DocumentRoot %[1]s/www
<Directory %[1]s/www>
  Require all granted
</Directory>
Header always set X-Remote-User "expr=%%{REMOTE_USER}"
Header always set X-Remote-Mail "expr=%%{reqenv:OIDC_CLAIM_email}"

OIDCProviderMetadataURL %[3]s/.well-known/openid-configuration
OIDCClientID %[4]s
OIDCClientSecret %[5]s
OIDCRedirectURI http://localhost:%[2]d/private/callback
OIDCCryptoPassphrase 0123456789abcdef0123456789abcdef
OIDCPKCEMethod S256
OIDCScope "openid profile email groups"
OIDCRemoteUserClaim preferred_username
OIDCPassClaimsAs environment
OIDCProviderBackChannelLogoutSupported On
OIDCRedirectURLsAllowed ^http://localhost:%[2]d/
<Location /private>
  AuthType openid-connect
  Require valid-user
</Location>
<Location /eng>
  AuthType openid-connect
  Require claim groups:eng
</Location>
<Location /sales>
  AuthType openid-connect
  Require claim groups:sales
</Location>
`

// apache starts an Apache for the length of the test and returns its base URL. The
// application is registered by the test, since only then its port is known.
func apache(t *testing.T) string {
	t.Helper()
	ports, err := testbed.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://localhost:%d", ports[0])
	app := register(t, map[string]any{
		"name":          "apache",
		"redirect_uris": []string{base + "/private/callback"}, "post_logout_uris": []string{base + "/bye.html"},
		"backchannel_logout_uri": base + "/private/callback?logout=backchannel", "backchannel_logout_session_required": true,
		"grant_types": []string{"authorization_code"}, "allowed_scopes": []string{"openid", "profile", "email", "groups"},
	})
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) { // Apache reads as www-data
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"index.html", "bye.html", "private/index.html", "eng/index.html", "sales/index.html"} {
		write("www/"+name, "this is "+name)
	}
	write("apache.conf", fmt.Sprintf(apacheConfig, dir, ports[0], dev.Issuer(), app.ClientID, app.ClientSecret))
	var out bytes.Buffer
	cmd := exec.Command("/usr/sbin/apache2", "-f", filepath.Join(dir, "apache.conf"), "-D", "FOREGROUND")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := testbed.StartChild(cmd); err != nil {
		t.Fatalf("Apache with mod_auth_openidc is needed (Debian: apache2, libapache2-mod-auth-openidc): %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait() // ended by us
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Logf("Apache said:\n%s%s", out.Bytes(), log)
		}
	})
	eventually(t, "Apache listens", func() bool {
		resp, err := http.Get(base + "/index.html")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return base
}

// eventually waits for done.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func TestApacheSignsInAndOut(t *testing.T) {
	t.Parallel()
	base := apache(t)
	b := testbed.NewBrowser()
	p, err := b.Reach(t.Context(), base+"/private/index.html", username, password)
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != http.StatusOK || p.Header.Get("X-Remote-User") != "tester" || p.Header.Get("X-Remote-Mail") != "tester@example.com" {
		t.Fatalf("signed in: %s, status %d, user %q, mail %q", p.URL, p.Status, p.Header.Get("X-Remote-User"), p.Header.Get("X-Remote-Mail"))
	}
	for path, want := range map[string]int{"/eng/index.html": http.StatusOK, "/sales/index.html": http.StatusUnauthorized} {
		if p, err := b.Open(t.Context(), base+path); err != nil || p.Status != want {
			t.Errorf("%s: %+v, %v; want status %d", path, p, err, want)
		}
	}
	p, err = b.Open(t.Context(), base+"/private/callback?logout="+strings.ReplaceAll(base, "/", "%2F")+"%2Fbye.html")
	if err != nil || p.Body != "this is bye.html" {
		t.Errorf("sign-out led to %+v, %v", p, err)
	}
	if p, err := b.Open(t.Context(), base+"/private/index.html"); err != nil || p.FormWith("password") == nil {
		t.Errorf("still signed in after sign-out, at %+v, %v", p, err)
	}
	p, err = b.Reach(t.Context(), base+"/private/index.html", username, password)
	if err != nil || p.Status != http.StatusOK {
		t.Fatalf("signed in again: %+v, %v", p, err)
	}
	p, err = b.Open(t.Context(), dev.Issuer()+"/logout")
	if err != nil || len(p.Forms) == 0 {
		t.Fatalf("the page that asks whether to sign out: %+v, %v", p, err)
	}
	if _, err = b.Submit(t.Context(), p, p.Forms[0], nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Apache has been told by the back channel", func() bool {
		p, err := b.Open(t.Context(), base+"/private/index.html")
		return err == nil && p.FormWith("password") != nil
	})
	if t.Failed() {
		t.Logf("the browser went:\n%s", strings.Join(b.Trail, "\n"))
	}
}
