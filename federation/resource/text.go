package resource

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/identity"
)

const (
	maxName      = 200 // bytes of a name that people read
	maxText      = 300 // bytes of one consent text
	maxLanguages = 40
	fallback     = "en"
)

// Texts are one sentence in several languages, by BCP 47 tag. Which one a person reads
// is In's to say.
type Texts map[string]string

// In returns the text for whoever prefers these languages, best first, and the language
// that it is in: the very one, else another of the same base, else English, else the
// first by name. Both are empty if there is none at all.
func (x Texts) In(preferred ...string) (text, lang string) {
	for _, want := range preferred {
		if lang = x.like(want); lang != "" {
			return x[lang], lang
		}
	}
	if lang = x.like(fallback); lang == "" {
		lang = slices.MinFunc(append(keysOf(x), "\xff"), strings.Compare)
	}
	if text = x[lang]; text == "" {
		return "", ""
	}
	return text, lang
}

// like returns the language of x that serves who wants another: itself, or the first of its base.
func (x Texts) like(want string) string {
	base, _, _ := strings.Cut(want, "-")
	best := ""
	for lang := range x {
		if strings.EqualFold(lang, want) {
			return lang
		}
		if b, _, _ := strings.Cut(lang, "-"); strings.EqualFold(b, base) && (best == "" || lang < best) {
			best = lang
		}
	}
	return best
}

func keysOf(x Texts) []string {
	keys := make([]string, 0, len(x)+1)
	for k := range x {
		keys = append(keys, k)
	}
	return keys
}

// check cleans the texts and reports the first that nobody could be shown.
func (x Texts) check(field string, needed bool) (Texts, error) {
	if len(x) > maxLanguages {
		return nil, identity.Invalid(field, fmt.Sprintf("must be in at most %d languages", maxLanguages))
	}
	clean := make(Texts, len(x))
	for lang, text := range x {
		tag, err := language.Parse(lang)
		if err != nil || len(lang) > 35 {
			return nil, identity.Invalid(field, fmt.Sprintf("%q is not a language tag, such as en or pt-BR", identity.Printable(lang, 40)))
		}
		if len(text) > maxText {
			return nil, identity.Invalid(field, fmt.Sprintf("%s must have at most %d bytes", tag, maxText))
		}
		text = strings.TrimSpace(identity.Printable(text, maxText))
		if text == "" {
			return nil, identity.Invalid(field, fmt.Sprintf("%s is empty", tag))
		}
		clean[tag.String()] = text
	}
	if needed && len(clean) == 0 {
		return nil, identity.Invalid(field, "must say in at least one language what a person allows")
	}
	return clean, nil
}

// spell writes the texts in one way, for the record of a change.
func (x Texts) spell() string {
	keys := keysOf(x)
	slices.Sort(keys)
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(k + ": " + x[k])
	}
	return b.String()
}

// builtIn are the scopes that quis itself gives a meaning. They cannot be registered.
var builtIn = map[string]Scope{
	federation.ScopeOpenID: {
		FriendlyName: "Sign-in",
		Texts: Texts{
			"en": "Know that it is you who signs in",
			"de": "Erkennen, dass Sie es sind, der sich anmeldet",
			"fr": "Savoir que c’est bien vous qui vous connectez",
			"es": "Saber que es usted quien inicia sesión",
			"it": "Sapere che è Lei ad accedere",
			"pt": "Saber que é você quem inicia sessão",
			"pl": "Wiedzieć, że to Ty się logujesz",
			"ja": "サインインしているのがあなたであることの確認",
		},
		Claims: []string{"sub"},
	},
	federation.ScopeProfile: {
		FriendlyName: "Profile", Optional: true,
		Texts: Texts{
			"en": "See your name, user name and language",
			"de": "Ihren Namen, Benutzernamen und Ihre Sprache sehen",
			"fr": "Voir votre nom, votre identifiant et votre langue",
			"es": "Ver su nombre, nombre de usuario e idioma",
			"it": "Vedere nome, nome utente e lingua",
			"pt": "Ver o seu nome, nome de utilizador e idioma",
			"pl": "Widzieć imię i nazwisko, nazwę użytkownika i język",
			"ja": "名前、ユーザー名、言語の参照",
		},
		Claims: []string{"name", "given_name", "family_name", "preferred_username", "locale", "updated_at"},
	},
	federation.ScopeEmail: {
		FriendlyName: "Email", Optional: true,
		Texts: Texts{
			"en": "See your email address",
			"de": "Ihre E-Mail-Adresse sehen",
			"fr": "Voir votre adresse e-mail",
			"es": "Ver su dirección de correo electrónico",
			"it": "Vedere il Suo indirizzo email",
			"pt": "Ver o seu endereço de e-mail",
			"pl": "Widzieć Twój adres e-mail",
			"ja": "メールアドレスの参照",
		},
		Claims: []string{"email", "email_verified"},
	},
	federation.ScopeGroups: {
		FriendlyName: "Groups", Optional: true,
		Texts: Texts{
			"en": "See which groups you belong to",
			"de": "Sehen, zu welchen Gruppen Sie gehören",
			"fr": "Voir à quels groupes vous appartenez",
			"es": "Ver a qué grupos pertenece",
			"it": "Vedere a quali gruppi appartiene",
			"pt": "Ver a que grupos pertence",
			"pl": "Widzieć, do jakich grup należysz",
			"ja": "所属するグループの参照",
		},
		Claims: []string{"groups"},
	},
	federation.ScopeRoles: {
		FriendlyName: "Roles", Optional: true,
		Texts: Texts{
			"en": "See which roles you have in this application",
			"de": "Sehen, welche Rollen Sie in dieser Anwendung haben",
			"fr": "Voir quels rôles vous avez dans cette application",
			"es": "Ver qué roles tiene en esta aplicación",
			"it": "Vedere quali ruoli ha in questa applicazione",
			"pt": "Ver que funções tem nesta aplicação",
			"pl": "Widzieć, jakie masz role w tej aplikacji",
			"ja": "このアプリでのロールの参照",
		},
		Claims: []string{"roles"},
	},
	federation.ScopeOffline: {
		FriendlyName: "Offline access", Optional: true, Sensitive: true,
		Texts: Texts{
			"en": "Keep this access while you are signed out, until you take it back",
			"de": "Diesen Zugriff behalten, auch wenn Sie abgemeldet sind, bis Sie ihn zurücknehmen",
			"fr": "Garder cet accès quand vous êtes déconnecté, jusqu’à ce que vous le retiriez",
			"es": "Conservar este acceso cuando no tenga la sesión iniciada, hasta que lo retire",
			"it": "Mantenere questo accesso anche quando non è connesso, finché non lo revoca",
			"pt": "Manter este acesso quando não tiver sessão iniciada, até o retirar",
			"pl": "Zachować ten dostęp także po wylogowaniu, do czasu jego cofnięcia",
			"ja": "サインアウト中も、取り消されるまでこのアクセスを維持",
		},
	},
}
