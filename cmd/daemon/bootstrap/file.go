package bootstrap

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quis-idp/quis/identity"
)

const (
	maxFile   = 1 << 20 // bytes
	maxFaults = 50      // reported of one file
)

// A File is what a bootstrap file declares.
type File struct {
	Name         string // of the file, for errors
	Users        []User
	Groups       []Group
	Applications []Application
	Tokens       []Token
}

// content is the document itself; its tags are the keys of the file.
type content struct {
	Users        []User        `yaml:"users"`
	Groups       []Group       `yaml:"groups"`
	Applications []Application `yaml:"applications"`
	Tokens       []Token       `yaml:"tokens"`
}

// A User is one person. Nil means: not said, leave it as it is.
type User struct {
	Username      string          `yaml:"username" required:"true"`
	Email         *string         `yaml:"email"`
	EmailVerified *bool           `yaml:"email_verified"`
	Name          *string         `yaml:"name"`
	GivenName     *string         `yaml:"given_name"`
	FamilyName    *string         `yaml:"family_name"`
	Locale        *string         `yaml:"locale"`
	Password      identity.Secret `yaml:"password"`
	Groups        []string        `yaml:"groups"`
	Admin         *bool           `yaml:"admin"`
	Disabled      *bool           `yaml:"disabled"`
	Line          int             `yaml:"-"` // where it stands in the file
}

// A Group is a named set of users.
type Group struct {
	Name        string  `yaml:"name" required:"true"`
	Description *string `yaml:"description"`
	Line        int     `yaml:"-"`
}

// An Application is what people sign in to; its keys are those of the admin API.
type Application struct {
	Name           string          `yaml:"name" required:"true"`
	ClientID       string          `yaml:"client_id" required:"true"`
	ClientSecret   identity.Secret `yaml:"client_secret"`
	Type           *string         `yaml:"type"`
	FriendlyName   *string         `yaml:"friendly_name"`
	Description    *string         `yaml:"description"`
	RedirectURIs   []string        `yaml:"redirect_uris"`
	PostLogoutURIs []string        `yaml:"post_logout_uris"`
	AllowedScopes  []string        `yaml:"allowed_scopes"`
	GrantTypes     []string        `yaml:"grant_types"`
	IsPublic       *bool           `yaml:"is_public"`
	RequirePKCE    *bool           `yaml:"require_pkce"`
	TokenExpiry    *int64          `yaml:"token_expiry"`
	LaunchURL      *string         `yaml:"launch_url"`
	IconURL        *string         `yaml:"icon_url"`
	AppGroup       *string         `yaml:"app_group"`
	SigningAlg     *string         `yaml:"signing_alg"`
	IDTokenAgain   *bool           `yaml:"id_token_on_refresh"`
	Restricted     *bool           `yaml:"access_restricted"`
	Shown          *bool           `yaml:"show_in_dashboard"`
	Disabled       *bool           `yaml:"disabled"`
	Line           int             `yaml:"-"`
}

// A Token is an access token with a fixed value.
type Token struct {
	User  string          `yaml:"user" required:"true"`
	Token identity.Secret `yaml:"token" required:"true"`
	Name  string          `yaml:"name"`
	Line  int             `yaml:"-"`
}

// A Fault is one thing that is wrong with the file. Line and Column count from 1; 0 is unknown.
type Fault struct {
	Line, Column int
	Detail       string
}

// A FileError says everything that is wrong with a file.
type FileError struct {
	Name   string
	Faults []Fault
}

// Error returns one line for each fault: name:line:column: what is wrong.
func (e *FileError) Error() string {
	lines := make([]string, 0, len(e.Faults))
	for _, f := range e.Faults {
		lines = append(lines, at(e.Name, f.Line, f.Column)+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

func at(name string, line, column int) string {
	if line > 0 {
		name += fmt.Sprintf(":%d", line)
	}
	if column > 0 {
		name += fmt.Sprintf(":%d", column)
	}
	return name
}

// Load reads and checks the file at path. What is wrong in it is a [*FileError].
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bootstrap file: %w", err)
	}
	defer f.Close()
	data := make([]byte, maxFile+1)
	n, err := readFull(f, data)
	if err != nil {
		return nil, fmt.Errorf("bootstrap file: %w", err)
	}
	return Parse(filepath.Base(path), data[:n])
}

// Parse reads and checks the text of a file; name is for its errors.
func Parse(name string, data []byte) (*File, error) {
	if len(data) > maxFile {
		return nil, &FileError{name, []Fault{{Detail: fmt.Sprintf("is over %d bytes", maxFile)}}}
	}
	var c content
	faults := decode(data, &c)
	if len(faults) == 0 {
		faults = c.check()
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b Fault) int { return (a.Line-b.Line)*4096 + a.Column - b.Column })
		return nil, &FileError{name, faults[:min(len(faults), maxFaults)]}
	}
	return &File{Name: name, Users: c.Users, Groups: c.Groups, Applications: c.Applications, Tokens: c.Tokens}, nil
}
