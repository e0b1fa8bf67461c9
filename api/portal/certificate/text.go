package certificate

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"title":        "Certificates and smart cards",
	"lead":         "Sign in with a certificate that your organisation has issued to you, in your browser or on a card.",
	"add":          "Add the certificate of this browser",
	"until":        "Valid until %s",
	"used":         "Last used %s",
	"never":        "Not used yet",
	"rule":         "Yours by a rule of your organisation",
	"change":       "Change",
	"change.label": "Change %s",
	"remove":       "Remove",
	"remove.label": "Remove %s",
	"last":         "That certificate is your only way to sign in. Add another one first.",
	"refused":      "No certificate was added: your browser sent none that can be, or it took too long. Try again.",

	"new.title":  "Add a certificate",
	"new.lead":   "Your browser has shown this certificate. Whoever has its key and PIN will be able to sign in as you.",
	"new.name":   "Name",
	"new.hint":   "For you to know it again, such as Badge or Laptop.",
	"new.submit": "Add certificate",
	"new.taken":  "That certificate cannot be added: it was added already, here or to another account, or you have too many.",

	"done.added":   "Your certificate is added. From now on you can sign in with it.",
	"done.renamed": "The new name is saved.",
	"done.removed": "The certificate is removed.",
}
