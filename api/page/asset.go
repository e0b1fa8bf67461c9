package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/quis-idp/quis/api/problem"
)

//go:embed assets
var assetFiles embed.FS

// An asset is a file under a name that changes with its content, so that it may be
// kept for ever: nodes of two versions behind one address never mix their styles.
type asset struct {
	path, kind string
	content    []byte
	packed     func() []byte // by gzip, when somebody asks for it first; nil: not worth it
}

// pack compresses what is the same for everybody. Pages are not: the length of what is
// compressed tells of the secrets in it to who may put words beside them (BREACH).
func pack(content []byte) []byte {
	var b bytes.Buffer
	w := packers.Get().(*gzip.Writer)
	defer packers.Put(w)
	w.Reset(&b)
	_, _ = w.Write(content) // a Buffer takes all
	_ = w.Close()
	if b.Len() > len(content)*9/10 {
		return nil
	}
	return b.Bytes()
}

// packers have more than half a MiB each, and are asked for one after the other when the first page is looked at.
var packers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// asItIs is for what is too short to be packed.
func asItIs() []byte { return nil }

// lean leaves out the lines of a script that are comments, and the indentation: they are for who reads the source.
// No text in our scripts goes over two lines.
func lean(script []byte) []byte {
	var out []byte
	for line := range bytes.Lines(script) {
		if line = bytes.TrimLeft(line, " \t"); !bytes.HasPrefix(line, []byte("//")) {
			out = append(out, line...)
		}
	}
	return out
}

var (
	remark = regexp.MustCompile(`(?s)[ \t]*/\*.*?\*/|(?m:^[ \t]+)`)
	blank  = regexp.MustCompile(`\s*([{};])\s*|([:,]) `)
)

// leanStyle leaves out the comments, and the blanks that say nothing, of a style sheet, whose texts hold neither.
func leanStyle(sheet []byte) []byte {
	return blank.ReplaceAll(remark.ReplaceAll(sheet, nil), []byte("$1$2"))
}

// kinds are the media types of the assets there are. Package mime would read what the
// machine knows of thousands, keep 1 MiB of it, and might say something else on each.
var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

var assets, assetsByPath = loadAssets()

func loadAssets() (byName, byPath map[string]asset) {
	byName, byPath = map[string]asset{}, map[string]asset{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		content, err := fs.ReadFile(assetFiles, path.Join("assets", e.Name()))
		if err != nil {
			panic(err)
		}
		ext := path.Ext(e.Name())
		if kinds[ext] == "" {
			panic("page: what is " + e.Name() + "?")
		}
		switch ext {
		case ".js":
			content = lean(content)
		case ".css":
			content = leanStyle(content)
		}
		sum := sha256.Sum256(content)
		a := asset{
			path: "/assets/" + strings.TrimSuffix(e.Name(), ext) + "-" +
				base64.RawURLEncoding.EncodeToString(sum[:9]) + ext,
			kind: kinds[ext], content: content, packed: sync.OnceValue(func() []byte { return pack(content) }),
		}
		byName[e.Name()], byPath[a.path] = a, a
	}
	return byName, byPath
}

// assetPath is the URL path of an asset, for templates.
func assetPath(name string) (string, error) {
	a, ok := assets[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return a.path, nil
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, quality, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(quality, 64)
			return quality == "" || err == nil && q > 0
		}
	}
	return false
}

// Assets serves /assets/. What has another hash than ours is not found: better no style
// than one that belongs to another version's page.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assetsByPath[r.URL.Path]
		if sheet, brand := brandSheet(r.URL.Path); !ok && brand {
			a, ok = asset{kind: kinds[".css"], content: []byte(sheet), packed: asItIs}, true
		}
		if !ok {
			Answer(w, r, problem.ErrRoute)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		content := a.content
		if packed := a.packed(); packed != nil {
			h.Set("Vary", "Accept-Encoding")
			if takesGzip(r) {
				h.Set("Content-Encoding", "gzip")
				content = packed
			}
		}
		h.Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(content) // the browser has left: nobody to tell
		}
	})
}
