package backup_test

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A bucketServer is a double of the calls of an S3 store that backups use: PUT whole and
// in parts, GET with ranges, HEAD, LIST and DELETE. It refuses what is not signed in the
// shape of Signature Version 4 and can fail on demand.
type bucketServer struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	objects map[string][]byte
	parts   map[string]map[int][]byte // by upload
	fail    func(r *http.Request) int // status to fail with; 0: serve
	corrupt bool                      // GET answers other bytes than were put
	slow    bool                      // answers come a few kilobytes at a time
	// truncate has GET break off half-way.
	truncate bool
}

var signature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKID/[0-9]{8}/us-east-1/s3/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=[0-9a-f]{64}$`)

func newBucketServer(t *testing.T) *bucketServer {
	s := &bucketServer{t: t, objects: map[string][]byte{}, parts: map[string]map[int][]byte{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *bucketServer) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for n := range s.objects {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (s *bucketServer) serve(w http.ResponseWriter, r *http.Request) {
	m := signature.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || !strings.Contains(m[1], "host") || !strings.Contains(m[1], "x-amz-date") || r.Header.Get("X-Amz-Content-Sha256") == "" {
		s.t.Errorf("%s %s is signed %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		body = unchunk(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if code := s.fail(r); code != 0 {
			w.WriteHeader(code)
			return
		}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != "vault" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.object(w, r, key, body)
}

// unchunk takes the framing of a streamed signature off: size;chunk-signature CRLF data CRLF.
func unchunk(b []byte) []byte {
	var out []byte
	in := bufio.NewReader(bytes.NewReader(b))
	for {
		line, err := in.ReadString('\n')
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, perr := strconv.ParseInt(size, 16, 64)
		if err != nil || perr != nil || n == 0 {
			return out
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return out
		}
		out = append(out, chunk[:n]...)
	}
}

func (s *bucketServer) object(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	upload := q.Get("uploadId")
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		id := fmt.Sprint("u", len(s.parts)+1)
		s.parts[id] = map[int][]byte{}
		answer(w, struct {
			XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
			Bucket, Key, UploadId string
		}{Bucket: "vault", Key: key, UploadId: id})
	case r.Method == http.MethodPut && upload != "":
		n, _ := strconv.Atoi(q.Get("partNumber"))
		s.parts[upload][n] = body
		w.Header().Set("ETag", `"part"`)
	case r.Method == http.MethodPost && upload != "":
		var whole []byte
		for n := 1; n <= len(s.parts[upload]); n++ {
			whole = append(whole, s.parts[upload][n]...)
		}
		s.objects[key] = whole
		answer(w, struct {
			XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
			Bucket, Key, ETag string
		}{Bucket: "vault", Key: key, ETag: `"whole"`})
	case r.Method == http.MethodDelete && upload != "":
		delete(s.parts, upload)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		s.objects[key] = body
		w.Header().Set("ETag", `"whole"`)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && key == "":
		s.list(w, q.Get("prefix"))
	case s.objects[key] == nil:
		w.WriteHeader(http.StatusNotFound)
	default: // GET, HEAD
		data := bytes.Clone(s.objects[key])
		if s.corrupt {
			data[len(data)/2] ^= 1
		}
		w.Header().Set("ETag", `"whole"`)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		switch {
		case s.truncate:
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:len(data)/2])
			panic(http.ErrAbortHandler)
		case s.slow:
			http.ServeContent(dribbling{w}, r, "", zero, bytes.NewReader(data))
		default:
			http.ServeContent(w, r, "", zero, bytes.NewReader(data))
		}
	}
}

func (s *bucketServer) list(w http.ResponseWriter, prefix string) {
	type content struct {
		Key, LastModified, ETag string
		Size                    int
	}
	out := struct {
		XMLName      xml.Name `xml:"ListBucketResult"`
		Name, Prefix string
		KeyCount     int
		IsTruncated  bool
		Contents     []content
	}{Name: "vault", Prefix: prefix}
	for k, v := range s.objects {
		if strings.HasPrefix(k, prefix) {
			out.Contents = append(out.Contents, content{Key: k, LastModified: "2006-01-02T15:04:05.000Z", ETag: `"whole"`, Size: len(v)})
		}
	}
	answer(w, out)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(v)
}

// dribbling sends every few kilobytes by themselves.
type dribbling struct{ http.ResponseWriter }

func (d dribbling) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		k := 0
		k, err = d.ResponseWriter.Write(p[:min(len(p), 4000)])
		n, p = n+k, p[k:]
		_ = http.NewResponseController(d.ResponseWriter).Flush()
	}
	return n, err
}
