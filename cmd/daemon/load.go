package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/quis-idp/quis/api/admin/shape"
	"github.com/quis-idp/quis/cmd/daemon/document"
)

// A Source says where a configuration comes from.
type Source struct {
	File  string              // YAML file, or "" for none
	Env   []string            // as os.Environ gives it
	Flags map[string][]string // setting key to values given on the command line
}

// Load reads the configuration: a flag beats the environment beats the file
// beats the default. Its error joins every mistake found, one line each, with
// file, line and column where there is one. It does not call Validate.
func Load(src Source) (Config, error) {
	c := Default()
	var errs []error
	if src.File != "" {
		data, err := os.ReadFile(src.File)
		if err != nil {
			return c, fmt.Errorf("configuration: %w", readError(err))
		}
		errs = append(errs, document.Read(src.File, data, fileKeys(), c.set)...)
	}
	errs = append(errs, readEnv(&c, src.Env)...)
	for _, s := range settings {
		v, given := src.Flags[s.Key]
		if !given {
			continue
		}
		if err := s.set(&c, v); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", s.Flag(), err))
		}
	}
	return c, errors.Join(errs...)
}

func readEnv(c *Config, environ []string) []error {
	var errs []error
	known := make(map[string]Setting, len(settings))
	for _, s := range settings {
		known[s.Env()] = s
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "QUIS_") || value == "" || clientEnv[name] || serviceLink.MatchString(name) {
			continue
		}
		s, ok := known[alias(name)]
		if !ok {
			errs = append(errs, fmt.Errorf("environment: unknown variable %s%s", name, shape.DidYouMean(name, slices.Sorted(maps.Keys(known)))))
			continue
		}
		values := []string{strings.TrimSpace(value)}
		if s.List {
			values = document.Split(value)
		}
		if err := s.set(c, values); err != nil {
			errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
		}
	}
	return errs
}

// clientEnv are the variables of the command line tool, which a server started
// from the same shell must not take for mistakes.
var clientEnv = map[string]bool{"QUIS_ADDR": true, "QUIS_CONFIG": true, "QUIS_TOKEN": true, "QUIS_TOKEN_FILE": true, "QUIS_FORMAT": true}

// alias gives the short names of the join token their long ones: they are also those of `quis join`.
func alias(name string) string {
	if rest, ok := strings.CutPrefix(name, "QUIS_JOIN_TOKEN"); ok {
		return "QUIS_CLUSTER_JOIN_TOKEN" + rest
	}
	return name
}

// serviceLink are the variables that Kubernetes sets for a service named quis.
var serviceLink = regexp.MustCompile(`^QUIS_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT|PORT)(_[A-Z0-9_]+)?$`)

// readError makes what the system says about a file fit for a person: which
// file, what is wrong, and what to do.
func readError(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", pe.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied for user %d: change the owner or the mode of the file", pe.Path, os.Getuid())
	}
	return fmt.Errorf("%s: %w", pe.Path, pe.Err)
}
